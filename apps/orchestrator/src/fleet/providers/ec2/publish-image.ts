import {
  DescribeImagesCommand,
  DescribeSnapshotsCommand,
  type EC2Client,
  type Image,
  RegisterImageCommand,
  type Snapshot,
} from "@aws-sdk/client-ec2";
import type { EBSClient } from "@aws-sdk/client-ebs";
import { AppError, type Clock } from "@mayfly/core";
import { bounded, inOneLine, type Pause, read, saidBy } from "./ec2-client.ts";
import { codeOf, faultOf } from "./ec2-faults.ts";
import { imageTagKeys } from "./image-tags.ts";
import { type DiskFile, uploadSnapshot } from "./snapshot-upload.ts";

/** EBS stores a snapshot of some hundred MiB in a minute or two. */
const STORED_MS_MAX = 30 * 60_000;
const STORED_POLL_MS = 5_000;
/** An image just registered may not be listed yet. */
const REGISTER_TRIES_MAX = 5;
const REGISTER_PAUSE_MS = 2_000;
/** What the recipe's machines call their only disk. */
const ROOT_DEVICE = "/dev/xvda";
/** Digits of the digest in the image's name: enough that no two disks share one. */
const NAME_DIGITS = 32;

export interface PublishOptions {
  readonly ec2: EC2Client;
  readonly ebs: EBSClient;
  readonly disk: DiskFile;
  /** Whose image it is: the tag that the publisher's rights go by, and the beginning of the image's name. */
  readonly name: string;
  /** The ARN or id of a key; null for the account's own one for EBS. */
  readonly kmsKey: string | null;
  readonly clock: Clock;
  readonly pause: Pause;
  readonly signal: AbortSignal;
  readonly say: (message: string) => void;
}

export interface PublishedImage {
  readonly image: string;
  readonly snapshot: string;
}

/**
 * Makes an AMI of a disk, or finds the one that was made of it before: the name holds the disk's digest, and the same
 * disk has one snapshot. Stopped half-way nothing is registered, and the next call finishes what was begun; EBS gives it
 * up by itself after an hour. Throws PROVIDER_UNAVAILABLE with what AWS said.
 */
export async function publishImage(options: PublishOptions): Promise<PublishedImage> {
  const known = await findImage(options);
  if (known !== null) {
    options.say("this disk is published already");
    return known;
  }
  const snapshot = await ensureSnapshot(options);
  options.signal.throwIfAborted();
  return register(options, snapshot);
}

function imageName({ name, disk }: Pick<PublishOptions, "name" | "disk">): string {
  return `${name}-machine-${disk.digest.slice("sha256:".length, "sha256:".length + NAME_DIGITS)}`;
}

function tagsOf({ name, disk }: Pick<PublishOptions, "name" | "disk">): { Key: string; Value: string }[] {
  return [
    { Key: imageTagKeys.image, Value: name },
    { Key: imageTagKeys.digest, Value: disk.digest },
  ];
}

function filtersOf({ name, disk }: Pick<PublishOptions, "name" | "disk">): { Name: string; Values: string[] }[] {
  return tagsOf({ name, disk }).map(({ Key: key, Value: value }) => ({ Name: `tag:${key}`, Values: [value] }));
}

async function findImage(options: PublishOptions): Promise<PublishedImage | null> {
  const request = { Owners: ["self"], Filters: [{ Name: "name", Values: [imageName(options)] }] };
  const { Images: images = [] } = await read("machine images", options.pause, () =>
    options.ec2.send(new DescribeImagesCommand(request), bounded()),
  );
  const [image] = images;
  return image === undefined ? null : publishedOf(options, image);
}

/** A name is a claim; the tag and the disk beneath are what count. */
function publishedOf(options: PublishOptions, image: Image): PublishedImage {
  const { ImageId: id, Tags: tags = [], BlockDeviceMappings: disks = [], State: state } = image;
  const snapshot = disks[0]?.Ebs?.SnapshotId;
  const isTagged = tags.some(
    ({ Key: key, Value: value }) => key === imageTagKeys.digest && value === options.disk.digest,
  );
  if (id === undefined || snapshot === undefined || !isTagged || disks.length !== 1) {
    const name = imageName(options);
    throw new AppError("INPUT_INVALID", `there is an image ${name} that was not made of this disk: deregister it`);
  }
  if (state !== "available" && state !== "pending") {
    throw new AppError("PROVIDER_UNAVAILABLE", `the image ${id} is ${inOneLine(state ?? "")}: deregister it`);
  }
  return { image: id, snapshot };
}

async function ensureSnapshot(options: PublishOptions): Promise<string> {
  const { ebs, disk, kmsKey, pause, signal, say } = options;
  const [ready] = await findSnapshots(options, ["completed"]);
  if (ready?.SnapshotId !== undefined) {
    say(`the snapshot ${ready.SnapshotId} is there already`);
    return ready.SnapshotId;
  }
  let told = -1;
  const id = await uploadSnapshot({
    ebs,
    disk,
    kmsKey,
    pause,
    signal,
    tags: tagsOf(options),
    isFinished: async (id) => (await findSnapshots(options, ["pending", "completed"])).some(isNamed(id)),
    onBlocks(done, all) {
      const tenth = Math.floor((done / all) * 10);
      if (tenth !== told) {
        told = tenth;
        say(`written: ${tenth * 10}% of ${all} blocks`);
      }
    },
  });
  await waitUntilStored(options, id);
  return id;
}

async function findSnapshots(options: PublishOptions, states: string[]): Promise<Snapshot[]> {
  const Filters = [...filtersOf(options), { Name: "status", Values: states }];
  const { Snapshots: snapshots = [] } = await read("snapshots", options.pause, () =>
    options.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ["self"], Filters }), bounded()),
  );
  return snapshots;
}

function isNamed(id: string): (snapshot: Snapshot) => boolean {
  return ({ SnapshotId: found }) => found === id;
}

async function waitUntilStored(options: PublishOptions, id: string): Promise<void> {
  const { clock, pause, signal, say } = options;
  const until = clock.now() + STORED_MS_MAX;
  say(`the snapshot ${id} is written; EBS stores it`);
  for (;;) {
    const found = (await findSnapshots(options, ["completed", "error"])).find(isNamed(id));
    if (found?.State === "completed") {
      return;
    }
    if (found !== undefined || clock.now() > until) {
      throw new AppError("PROVIDER_UNAVAILABLE", `EBS does not store the snapshot ${id}: publish again`);
    }
    signal.throwIfAborted();
    await pause(STORED_POLL_MS);
  }
}

async function register(options: PublishOptions, snapshot: string): Promise<PublishedImage> {
  const { ec2, disk, pause } = options;
  const Tags = tagsOf(options);
  const request = {
    Name: imageName(options),
    Description: `Mayfly machine image ${disk.digest}`,
    Architecture: "x86_64" as const,
    VirtualizationType: "hvm",
    BootMode: "uefi" as const,
    EnaSupport: true,
    ImdsSupport: "v2.0" as const,
    RootDeviceName: ROOT_DEVICE,
    BlockDeviceMappings: [
      {
        DeviceName: ROOT_DEVICE,
        Ebs: { SnapshotId: snapshot, VolumeType: "gp3" as const, DeleteOnTermination: true },
      },
    ],
    TagSpecifications: [{ ResourceType: "image" as const, Tags }],
  };
  for (let tries = 1; ; tries++) {
    try {
      const { ImageId: image = "" } = await ec2.send(new RegisterImageCommand(request), bounded());
      return { image, snapshot };
    } catch (error) {
      // Registered by a call whose answer was lost, or by somebody at the same time: it is the same image.
      const made = codeOf(error) === "InvalidAMIName.Duplicate" ? await findImage(options) : null;
      if (made !== null) {
        return made;
      }
      const mayPass = codeOf(error) === "InvalidAMIName.Duplicate" || ["throttled", "unknown"].includes(faultOf(error));
      if (tries >= REGISTER_TRIES_MAX || !mayPass) {
        throw new AppError("PROVIDER_UNAVAILABLE", `EC2 does not register the image: ${saidBy(error)}`, {
          cause: error,
        });
      }
      await pause(REGISTER_PAUSE_MS * tries);
    }
  }
}
