/** Volumes and network interfaces: what a machine can leave behind. */
import type {
  DeleteNetworkInterfaceRequest,
  DeleteVolumeRequest,
  DescribeNetworkInterfacesRequest,
  DescribeNetworkInterfacesResult,
  DescribeVolumesRequest,
  DescribeVolumesResult,
  NetworkInterface,
  Volume,
} from "@aws-sdk/client-ec2";
import { badCombination, Ec2Refusal, onlyModelled } from "./refusal.ts";
import { byIds, type Fields, filtered, paged } from "./select.ts";
import { tagList } from "./tags.ts";
import { type FakeInterface, type FakeVolume, isVisible, type World } from "./world.ts";

const volumeIds = { prefix: "vol", code: "InvalidVolume.NotFound" };
const interfaceIds = { prefix: "eni", code: "InvalidNetworkInterfaceID.NotFound" };

const volumeFields: Fields<FakeVolume> = {
  "attachment.instance-id": ({ instanceId }) => (instanceId === null ? [] : [instanceId]),
  "availability-zone": ({ zone }) => [zone],
  encrypted: ({ disk }) => [String(disk.encrypted)],
  status: (volume) => [volumeState(volume)],
  "volume-id": ({ id }) => [id],
  "volume-type": ({ disk }) => [disk.type],
};

const interfaceFields: Fields<FakeInterface> = {
  "attachment.instance-id": ({ instanceId }) => (instanceId === null ? [] : [instanceId]),
  "availability-zone": ({ subnet }) => [subnet.zone],
  "group-id": ({ groups }) => groups,
  "network-interface-id": ({ id }) => [id],
  "private-ip-address": ({ privateIp }) => [privateIp],
  status: (card) => [interfaceState(card)],
  "subnet-id": ({ subnet }) => [subnet.id],
  "vpc-id": ({ subnet }) => [subnet.vpcId],
};

export function describeVolumes(world: World, input: DescribeVolumesRequest): DescribeVolumesResult {
  onlyModelled("DescribeVolumes", input, ["DryRun", "Filters", "MaxResults", "NextToken", "VolumeIds"]);
  if (input.VolumeIds !== undefined && input.MaxResults !== undefined) {
    throw badCombination("The parameter volumeIds cannot be used with the parameter maxResults");
  }
  const named =
    input.VolumeIds === undefined
      ? [...world.volumes.values()].filter((volume) => isVisible(world, volume))
      : byIds(world, world.volumes, input.VolumeIds, volumeIds);
  const found = filtered(named, input.Filters, volumeFields, ({ tags }) => tags);
  // More than 500 may be asked for, and 500 are given.
  const paging = { min: 5, max: 1_000, pageMax: 500, ordinalOf: ({ ordinal }: FakeVolume) => ordinal };
  const { page, nextToken } = paged(found, input, paging);
  return { Volumes: page.map(volumeShape), NextToken: nextToken };
}

export function describeNetworkInterfaces(
  world: World,
  input: DescribeNetworkInterfacesRequest,
): DescribeNetworkInterfacesResult {
  const modelled = ["DryRun", "Filters", "MaxResults", "NetworkInterfaceIds", "NextToken"];
  onlyModelled("DescribeNetworkInterfaces", input, modelled);
  if (input.NetworkInterfaceIds !== undefined && input.MaxResults !== undefined) {
    throw badCombination("The parameter networkInterfaceIds cannot be used with the parameter maxResults");
  }
  const named =
    input.NetworkInterfaceIds === undefined
      ? [...world.interfaces.values()].filter((card) => isVisible(world, card))
      : byIds(world, world.interfaces, input.NetworkInterfaceIds, interfaceIds);
  const found = filtered(named, input.Filters, interfaceFields, ({ tags }) => tags);
  const { page, nextToken } = paged(found, input, { min: 5, max: 1_000, ordinalOf: ({ ordinal }) => ordinal });
  return { NetworkInterfaces: page.map((card) => interfaceShape(world, card)), NextToken: nextToken };
}

export function deleteVolume(world: World, input: DeleteVolumeRequest): object {
  const [volume] = byIds(world, world.volumes, [input.VolumeId ?? ""], volumeIds);
  if (volume !== undefined && volume.instanceId !== null) {
    throw new Ec2Refusal("VolumeInUse", `Volume ${volume.id} is currently attached to ${volume.instanceId}`);
  }
  world.volumes.delete(input.VolumeId ?? "");
  return {};
}

export function deleteNetworkInterface(world: World, input: DeleteNetworkInterfaceRequest): object {
  const [card] = byIds(world, world.interfaces, [input.NetworkInterfaceId ?? ""], interfaceIds);
  if (card !== undefined && card.instanceId !== null) {
    throw new Ec2Refusal("InvalidNetworkInterface.InUse", `Network interface '${card.id}' is currently in use.`);
  }
  world.interfaces.delete(input.NetworkInterfaceId ?? "");
  return {};
}

function volumeState({ instanceId }: FakeVolume): "in-use" | "available" {
  return instanceId === null ? "available" : "in-use";
}

function interfaceState({ instanceId }: FakeInterface): "in-use" | "available" {
  return instanceId === null ? "available" : "in-use";
}

function volumeShape(volume: FakeVolume): Volume {
  const { id, disk, zone, tags, createdAt, instanceId } = volume;
  const attachment = {
    VolumeId: id,
    Device: disk.device,
    State: "attached" as const,
    DeleteOnTermination: disk.deleteOnTermination,
    AttachTime: new Date(createdAt),
  };
  return {
    VolumeId: id,
    Size: disk.sizeGib,
    VolumeType: disk.type as Volume["VolumeType"],
    Encrypted: disk.encrypted,
    ...(disk.kmsKeyId === null ? {} : { KmsKeyId: disk.kmsKeyId }),
    ...(disk.iops === null ? {} : { Iops: disk.iops }),
    ...(disk.throughput === null ? {} : { Throughput: disk.throughput }),
    ...(disk.initializationRate === null ? {} : { VolumeInitializationRate: disk.initializationRate }),
    AvailabilityZone: zone,
    State: volumeState(volume),
    CreateTime: new Date(createdAt),
    Attachments: instanceId === null ? [] : [{ ...attachment, InstanceId: instanceId }],
    Tags: tagList(tags),
  };
}

function interfaceShape({ place }: World, card: FakeInterface): NetworkInterface {
  const { id, subnet, privateIp, publicIp, groups, tags, instanceId } = card;
  const attachment = {
    AttachmentId: `eni-attach-${id.slice("eni-".length)}`,
    DeviceIndex: 0,
    Status: "attached" as const,
    DeleteOnTermination: card.deleteOnTermination,
    AttachTime: new Date(card.createdAt),
  };
  return {
    NetworkInterfaceId: id,
    OwnerId: place.account,
    SubnetId: subnet.id,
    VpcId: subnet.vpcId,
    AvailabilityZone: subnet.zone,
    PrivateIpAddress: privateIp,
    InterfaceType: "interface",
    Status: interfaceState(card),
    Groups: groups.map((GroupId) => ({ GroupId, GroupName: place.group.name })),
    ...(publicIp === null ? {} : { Association: { PublicIp: publicIp, IpOwnerId: "amazon" } }),
    ...(instanceId === null ? {} : { Attachment: { ...attachment, InstanceId: instanceId } }),
    TagSet: tagList(tags),
  };
}
