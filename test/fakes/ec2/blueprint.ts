/** What an instance is made of: its launch template and what the call says, the call winning. */
import type { RequestLaunchTemplateData, TagSpecification } from "@aws-sdk/client-ec2";
import { badCombination, badValue, Ec2Refusal, onlyModelled } from "./refusal.ts";
import { readTagSpecifications } from "./tags.ts";
import type { FakeSubnet, Lifecycle, Tags, World } from "./world.ts";

export interface Blueprint {
  readonly imageId: string;
  readonly instanceType: string;
  readonly subnetId: string;
  readonly lifecycle: Lifecycle;
  readonly template: { readonly id: string; readonly version: number } | null;
  readonly keyName: string | null;
  /** The instance profile's ARN or name. */
  readonly profile: string | null;
  /** Base64, as sent. */
  readonly userData: string | null;
  readonly groups: readonly string[];
  readonly hasPublicAddress: boolean;
  readonly interfaceDeleteOnTermination: boolean;
  readonly metadata: MetadataOptions;
  readonly shutdownBehavior: "stop" | "terminate";
  readonly disks: readonly Disk[];
  readonly isMonitored: boolean;
  readonly isProtected: boolean;
  readonly tagged: Readonly<Record<string, Tags>>;
}

interface MetadataOptions {
  readonly endpoint: "enabled" | "disabled";
  readonly tokens: "optional" | "required";
  readonly hopLimit: number;
  readonly ipv6: "enabled" | "disabled";
  readonly tags: "enabled" | "disabled";
}

export interface Disk {
  readonly device: string;
  readonly sizeGib: number;
  readonly type: string;
  readonly encrypted: boolean;
  readonly deleteOnTermination: boolean;
  readonly iops: number | null;
  readonly throughput: number | null;
  /** MiB per second. */
  readonly initializationRate: number | null;
  readonly kmsKeyId: string | null;
}

/** Where and how a machine is launched; decided by the call, never by the template alone. */
interface Spot {
  readonly subnet: FakeSubnet;
  readonly lifecycle: Lifecycle;
  readonly template: Blueprint["template"];
  readonly callTags: readonly TagSpecification[] | undefined;
}

// EC2's limit, before base64.
const USER_DATA_BYTES_MAX = 16 * 1024;
const carried = ["EbsOptimized", "PrivateDnsNameOptions", "MaintenanceOptions", "CreditSpecification"];
const modelled = [
  ...carried,
  "BlockDeviceMappings",
  "DisableApiTermination",
  "IamInstanceProfile",
  "ImageId",
  "InstanceInitiatedShutdownBehavior",
  "InstanceMarketOptions",
  "InstanceType",
  "KeyName",
  "MetadataOptions",
  "Monitoring",
  "NetworkInterfaces",
  "SecurityGroupIds",
  "TagSpecifications",
  "UserData",
];

/** Refuses launch template data that EC2 would refuse or that nothing here acts on. */
export function checkData(world: World, data: RequestLaunchTemplateData): void {
  onlyModelled("LaunchTemplateData", data, modelled);
  for (const { Ebs: disk, ...mapping } of data.BlockDeviceMappings ?? []) {
    onlyModelled("BlockDeviceMapping", mapping, ["DeviceName"]);
    onlyModelled("Ebs", disk, diskMembers);
    checkDisk(disk ?? {});
  }
  checkNetwork(world, data);
  if (data.ImageId !== undefined && data.ImageId !== world.place.image.id && !world.images.has(data.ImageId)) {
    throw new Ec2Refusal("InvalidAMIID.NotFound", `The image id '[${data.ImageId}]' does not exist`);
  }
  if (Buffer.from(data.UserData ?? "", "base64").length > USER_DATA_BYTES_MAX) {
    throw badValue("UserData", "…", "User data is limited to 16384 bytes.");
  }
  const hops = data.MetadataOptions?.HttpPutResponseHopLimit ?? 1;
  if (hops < 1 || hops > 64) {
    throw badValue("MetadataOptions.HttpPutResponseHopLimit", String(hops), "It must be from 1 to 64.");
  }
  readTagSpecifications(data.TagSpecifications);
}

const diskMembers = [
  "DeleteOnTermination",
  "Encrypted",
  "Iops",
  "KmsKeyId",
  "SnapshotId",
  "Throughput",
  "VolumeInitializationRate",
  "VolumeSize",
  "VolumeType",
];

function checkDisk(disk: {
  KmsKeyId?: string | undefined;
  Encrypted?: boolean | undefined;
  VolumeInitializationRate?: number | undefined;
}): void {
  const rate = disk.VolumeInitializationRate;
  if (rate !== undefined && (rate < 100 || rate > 300)) {
    throw badValue("Ebs.VolumeInitializationRate", String(rate), "It must be from 100 to 300.");
  }
  if (disk.KmsKeyId !== undefined && disk.Encrypted !== true) {
    throw badCombination("The parameter KmsKeyId requires the parameter Encrypted to be set.");
  }
}

/** A template may hold them; nothing here launches from one that does. */
const furtherAddresses = ["Ipv6AddressCount", "NetworkInterfaceId", "SecondaryPrivateIpAddressCount"];

function checkNetwork({ place }: World, data: RequestLaunchTemplateData): void {
  const cards = data.NetworkInterfaces ?? [];
  for (const card of cards) {
    onlyModelled("NetworkInterface", card, [
      "AssociatePublicIpAddress",
      "DeleteOnTermination",
      "Description",
      "DeviceIndex",
      "Groups",
      "SubnetId",
      ...furtherAddresses,
    ]);
  }
  if (cards.length > 1 || (cards[0]?.DeviceIndex ?? 0) !== 0) {
    throw new Ec2Refusal("NotModelled", "The stand-in models one network interface, with device index 0.", 501);
  }
  if (cards.length > 0 && data.SecurityGroupIds !== undefined) {
    throw badCombination(
      "Network interfaces and an instance-level security groups may not be specified on the same request",
    );
  }
  for (const group of [...(cards[0]?.Groups ?? []), ...(data.SecurityGroupIds ?? [])]) {
    if (group !== place.group.id) {
      throw new Ec2Refusal("InvalidGroup.NotFound", `The security group '${group}' does not exist`);
    }
  }
}

/** The blueprint of a machine. `data` was checked. Throws MissingParameter where neither template nor call says it. */
export function blueprintOf(world: World, data: RequestLaunchTemplateData, spot: Spot): Blueprint {
  if (data.ImageId === undefined || data.InstanceType === undefined) {
    throw new Ec2Refusal("MissingParameter", "The request must contain the parameters ImageId and InstanceType");
  }
  const [card] = data.NetworkInterfaces ?? [];
  const acted = Object.keys(card ?? {}).filter((name) => !furtherAddresses.includes(name));
  onlyModelled("NetworkInterface", card, acted);
  return {
    imageId: data.ImageId,
    instanceType: data.InstanceType,
    subnetId: spot.subnet.id,
    lifecycle: spot.lifecycle,
    template: spot.template,
    keyName: data.KeyName ?? null,
    profile: data.IamInstanceProfile?.Arn ?? data.IamInstanceProfile?.Name ?? null,
    userData: data.UserData ?? null,
    groups: card?.Groups ?? data.SecurityGroupIds ?? [world.place.group.id],
    hasPublicAddress: card?.AssociatePublicIpAddress ?? false,
    interfaceDeleteOnTermination: card?.DeleteOnTermination ?? true,
    metadata: metadataOf(data),
    shutdownBehavior: data.InstanceInitiatedShutdownBehavior ?? "stop",
    disks: disksOf(world, data),
    isMonitored: data.Monitoring?.Enabled ?? false,
    isProtected: data.DisableApiTermination ?? false,
    tagged: mergedTags(readTagSpecifications(data.TagSpecifications), readTagSpecifications(spot.callTags)),
  };
}

/** EC2's own defaults are the lax ones: who wants better has to say so. */
function metadataOf({ MetadataOptions: given }: RequestLaunchTemplateData): MetadataOptions {
  return {
    endpoint: given?.HttpEndpoint ?? "enabled",
    tokens: given?.HttpTokens ?? "optional",
    hopLimit: given?.HttpPutResponseHopLimit ?? 1,
    ipv6: given?.HttpProtocolIpv6 ?? "disabled",
    tags: given?.InstanceMetadataTags ?? "disabled",
  };
}

function disksOf({ place }: World, data: RequestLaunchTemplateData): Disk[] {
  const given = (data.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs }) =>
    diskOf(DeviceName ?? "", Ebs ?? {}, place.image.sizeGib),
  );
  const hasRoot = given.some(({ device }) => device === place.image.rootDevice);
  return hasRoot ? given : [diskOf(place.image.rootDevice, {}, place.image.sizeGib), ...given];
}

type Ebs = NonNullable<NonNullable<RequestLaunchTemplateData["BlockDeviceMappings"]>[number]["Ebs"]>;

function diskOf(device: string, ebs: Ebs, sizeGib: number): Disk {
  return {
    device,
    sizeGib: ebs.VolumeSize ?? sizeGib,
    type: ebs.VolumeType ?? "gp3",
    encrypted: ebs.Encrypted ?? false,
    deleteOnTermination: ebs.DeleteOnTermination ?? true,
    iops: ebs.Iops ?? null,
    throughput: ebs.Throughput ?? null,
    initializationRate: ebs.VolumeInitializationRate ?? null,
    kmsKeyId: ebs.KmsKeyId ?? null,
  };
}

function mergedTags(
  template: Readonly<Record<string, Tags>>,
  call: Readonly<Record<string, Tags>>,
): Record<string, Tags> {
  const resources = new Set([...Object.keys(template), ...Object.keys(call)]);
  return Object.fromEntries([...resources].map((name) => [name, { ...template[name], ...call[name] }]));
}
