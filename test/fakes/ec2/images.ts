/** Machine images made of snapshots. Snapshots are written over the EBS direct API; here they are looked at and removed. */
import type {
  BlockDeviceMapping,
  DeleteSnapshotRequest,
  DeregisterImageRequest,
  DeregisterImageResult,
  DescribeImagesRequest,
  DescribeImagesResult,
  DescribeSnapshotsRequest,
  DescribeSnapshotsResult,
  Image,
  RegisterImageRequest,
  RegisterImageResult,
} from "@aws-sdk/client-ec2";
import { badCombination, badValue, Ec2Refusal, onlyModelled } from "./refusal.ts";
import { byIds, filtered, paged } from "./select.ts";
import { readTagSpecifications, tagList } from "./tags.ts";
import type { FakeImage, FakeSnapshot, World } from "./world.ts";

const listing = { min: 5, max: 1_000, ordinalOf: (_thing: unknown, index: number) => index };

export function registerImage(world: World, input: RegisterImageRequest): RegisterImageResult {
  onlyModelled("RegisterImage", input, [
    "Architecture",
    "BlockDeviceMappings",
    "BootMode",
    "Description",
    "DryRun",
    "EnaSupport",
    "ImdsSupport",
    "Name",
    "RootDeviceName",
    "TagSpecifications",
    "VirtualizationType",
  ]);
  const { Name: name = "", RootDeviceName: root = "", BlockDeviceMappings: disks = [] } = input;
  if (!/^[a-zA-Z0-9 ()[\]./\-'@_]{3,128}$/.test(name)) {
    throw badValue("Name", name, "AMI names must be between 3 and 128 characters long.");
  }
  if ([...images(world)].some((image) => image.name === name)) {
    throw new Ec2Refusal("InvalidAMIName.Duplicate", `AMI name ${name} is already in use by AMI`);
  }
  // EC2's own defaults: i386 and paravirtual. Nobody means them.
  if (input.Architecture !== "x86_64" || input.VirtualizationType !== "hvm") {
    throw badCombination("The stand-in registers x86_64 images of type hvm alone; EC2's defaults are others.");
  }
  const disk = disks.find(({ DeviceName: device }) => device === root);
  if (root === "" || disk === undefined || disks.length !== 1) {
    throw badCombination("The image must have one disk, the root device.");
  }
  const snapshot = checkRootDisk(world, disk);
  const id = `ami-${world.names.hex(17)}`;
  const tags = readTagSpecifications(input.TagSpecifications, ["image", "snapshot"])["image"] ?? {};
  world.images.set(id, {
    id,
    name,
    rootDevice: root,
    sizeGib: snapshot.sizeGib,
    tags,
    snapshot: snapshot.id,
    bootMode: input.BootMode ?? null,
    imdsSupport: input.ImdsSupport ?? null,
    ena: input.EnaSupport ?? false,
    deleteOnTermination: disk.Ebs?.DeleteOnTermination ?? true,
    volumeType: disk.Ebs?.VolumeType ?? "gp2",
    owner: world.place.account,
  });
  return { ImageId: id };
}

function checkRootDisk(world: World, { Ebs: ebs }: BlockDeviceMapping): FakeSnapshot {
  onlyModelled("Ebs", ebs, ["DeleteOnTermination", "SnapshotId", "VolumeSize", "VolumeType"]);
  const { SnapshotId: id = "", VolumeSize: size } = ebs ?? {};
  const snapshot = world.snapshots.get(id);
  if (snapshot === undefined) {
    throw new Ec2Refusal("InvalidSnapshot.NotFound", `The snapshot '${id.slice(0, 100)}' does not exist.`);
  }
  if (snapshot.state !== "completed") {
    throw new Ec2Refusal("InvalidSnapshot.InUse", `The snapshot '${id}' is ${snapshot.state}, not completed.`);
  }
  if (size !== undefined && size < snapshot.sizeGib) {
    throw badValue("VolumeSize", String(size), "It must not be smaller than the snapshot.");
  }
  return snapshot;
}

export function describeImages(world: World, input: DescribeImagesRequest): DescribeImagesResult {
  onlyModelled("DescribeImages", input, ["DryRun", "Filters", "ImageIds", "MaxResults", "NextToken", "Owners"]);
  const all = images(world);
  const absent = input.ImageIds?.find((id) => !all.some((image) => image.id === id));
  if (absent !== undefined) {
    throw new Ec2Refusal("InvalidAMIID.NotFound", `The image id '[${absent.slice(0, 100)}]' does not exist`);
  }
  const owners = input.Owners?.map((owner) => (owner === "self" ? world.place.account : owner));
  // One of another owner than those asked for is left out, also where its id is named.
  const named = all
    .filter(({ id }) => input.ImageIds?.includes(id) ?? true)
    .filter(({ owner }) => owners?.includes(owner) ?? true);
  const fields = { "image-id": ({ id }: FakeImage) => [id], name: ({ name }: FakeImage) => [name] };
  // A page is cut first and filtered then: it can be empty and not the last.
  const { page, nextToken } = paged(named, input, { ...listing, min: 1, pageMax: world.pageMax });
  const found = filtered(page, input.Filters, fields, ({ tags }) => tags);
  return { Images: found.map((image) => imageShape(world, image)), NextToken: nextToken };
}

function imageShape({ place, snapshots }: World, image: FakeImage): Image {
  const snapshot = image.snapshot === null ? undefined : snapshots.get(image.snapshot);
  return {
    ImageId: image.id,
    Name: image.name,
    OwnerId: image.owner,
    State: "available",
    Public: false,
    Architecture: "x86_64",
    ImageType: "machine",
    VirtualizationType: "hvm",
    BootMode: (image.bootMode ?? undefined) as Image["BootMode"],
    ImdsSupport: (image.imdsSupport ?? undefined) as Image["ImdsSupport"],
    EnaSupport: image.ena,
    RootDeviceName: image.rootDevice,
    RootDeviceType: "ebs",
    BlockDeviceMappings: [
      {
        DeviceName: image.rootDevice,
        Ebs: {
          VolumeSize: image.sizeGib,
          VolumeType: image.volumeType as "gp3",
          DeleteOnTermination: image.deleteOnTermination,
          SnapshotId: image.snapshot ?? undefined,
          Encrypted: snapshot?.encrypted ?? false,
        },
      },
    ],
    // Tags are seen by their own account alone.
    Tags: image.owner === place.account ? tagList(image.tags) : [],
  };
}

export function deregisterImage(world: World, input: DeregisterImageRequest): DeregisterImageResult {
  onlyModelled("DeregisterImage", input, ["DryRun", "ImageId"]);
  if (!world.images.delete(input.ImageId ?? "")) {
    throw new Ec2Refusal("InvalidAMIID.NotFound", `The image id '[${input.ImageId}]' does not exist`);
  }
  return { Return: true };
}

export function describeSnapshots(world: World, input: DescribeSnapshotsRequest): DescribeSnapshotsResult {
  onlyModelled("DescribeSnapshots", input, ["DryRun", "Filters", "MaxResults", "NextToken", "OwnerIds", "SnapshotIds"]);
  const wanted = { prefix: "snap", code: "InvalidSnapshot.NotFound" };
  const ids = input.SnapshotIds;
  const named = ids === undefined ? [...world.snapshots.values()] : byIds(world, world.snapshots, ids, wanted);
  const fields = { status: ({ state }: FakeSnapshot) => [state], "snapshot-id": ({ id }: FakeSnapshot) => [id] };
  const { page, nextToken } = paged(named, input, { ...listing, pageMax: world.pageMax });
  const found = filtered(page, input.Filters, fields, ({ tags }) => tags);
  return {
    Snapshots: found.map(({ id, state, sizeGib, encrypted, tags, startedAt }) => ({
      SnapshotId: id,
      OwnerId: world.place.account,
      State: state,
      StartTime: new Date(startedAt),
      VolumeSize: sizeGib,
      Encrypted: encrypted,
      Tags: tagList(tags),
    })),
    NextToken: nextToken,
  };
}

export function deleteSnapshot(world: World, input: DeleteSnapshotRequest): object {
  onlyModelled("DeleteSnapshot", input, ["DryRun", "SnapshotId"]);
  const [snapshot] = byIds(world, world.snapshots, [input.SnapshotId ?? ""], {
    prefix: "snap",
    code: "InvalidSnapshot.NotFound",
  });
  if (snapshot !== undefined && images(world).some((image) => image.snapshot === snapshot.id)) {
    throw new Ec2Refusal("InvalidSnapshot.InUse", `The snapshot ${snapshot.id} is currently in use by an AMI`);
  }
  world.snapshots.delete(input.SnapshotId ?? "");
  return {};
}

/** The one that stands from the beginning, and those that were registered. */
function images({ place, images: made }: World): FakeImage[] {
  return [
    {
      ...place.image,
      snapshot: null,
      bootMode: null,
      imdsSupport: null,
      ena: true,
      deleteOnTermination: true,
      volumeType: "gp3",
    },
    ...made.values(),
  ];
}
