/** An instance as the API shows it. */
import type { Instance, InstanceBlockDeviceMapping, InstanceNetworkInterface, Reservation } from "@aws-sdk/client-ec2";
import { tagList } from "./tags.ts";
import type { FakeInstance, FakeInterface, FakeVolume, World } from "./world.ts";

/** The state's number; the API gives both. */
export const stateCodes = { pending: 0, running: 16, "shutting-down": 32, terminated: 48, stopped: 80 } as const;

/** What the instances of an answer hold, gathered once for all. */
interface Held {
  readonly account: string;
  readonly rootDevice: string;
  readonly groupName: string;
  readonly volumes: ReadonlyMap<string | null, readonly FakeVolume[]>;
  readonly cards: ReadonlyMap<string | null, readonly FakeInterface[]>;
}

/** The instances in their reservations: one for each launch that made some of them. */
export function reservationShape(world: World, instances: readonly FakeInstance[]): Reservation[] {
  const byReservation = Map.groupBy(instances, ({ reservationId }) => reservationId);
  const held: Held = {
    account: world.place.account,
    rootDevice: world.place.image.rootDevice,
    groupName: world.place.group.name,
    volumes: Map.groupBy(world.volumes.values(), ({ instanceId }) => instanceId),
    cards: Map.groupBy(world.interfaces.values(), ({ instanceId }) => instanceId),
  };
  return [...byReservation].map(([reservationId, members]) => ({
    ReservationId: reservationId,
    OwnerId: held.account,
    Groups: [],
    Instances: members.map((instance) => instanceShape(held, instance)),
  }));
}

function instanceShape(held: Held, instance: FakeInstance): Instance {
  const { blueprint, subnet, phase, reason } = instance;
  const isGone = phase === "terminated";
  return {
    InstanceId: instance.id,
    ImageId: blueprint.imageId,
    State: { Code: stateCodes[phase], Name: phase },
    StateReason: reason === null ? undefined : { Code: reason.code, Message: reason.message },
    StateTransitionReason: reason?.message ?? "",
    InstanceType: blueprint.instanceType as Instance["InstanceType"],
    ...(blueprint.lifecycle === "spot" ? { InstanceLifecycle: "spot" } : {}),
    AmiLaunchIndex: instance.launchIndex,
    ...(instance.clientToken === null ? {} : { ClientToken: instance.clientToken }),
    LaunchTime: new Date(instance.launchedAt),
    Placement: { AvailabilityZone: subnet.zone, Tenancy: "default" },
    // A terminated instance has lost its network.
    ...(isGone ? {} : { SubnetId: subnet.id, VpcId: subnet.vpcId, PrivateIpAddress: instance.privateIp }),
    ...profileShape(instance),
    ...(blueprint.keyName === null ? {} : { KeyName: blueprint.keyName }),
    Architecture: "x86_64",
    Hypervisor: "xen",
    VirtualizationType: "hvm",
    RootDeviceName: held.rootDevice,
    RootDeviceType: "ebs",
    Monitoring: { State: blueprint.isMonitored ? "enabled" : "disabled" },
    MetadataOptions: metadataShape(instance),
    BlockDeviceMappings: diskShapes(held, instance),
    ...cardShapes(held, instance),
    Tags: tagList(instance.tags),
  };
}

function profileShape({ blueprint: { profile } }: FakeInstance): Pick<Instance, "IamInstanceProfile"> {
  return profile === null ? {} : { IamInstanceProfile: { Arn: profile, Id: "AIPAEXAMPLE" } };
}

function metadataShape({ phase, blueprint: { metadata } }: FakeInstance): NonNullable<Instance["MetadataOptions"]> {
  return {
    State: phase === "pending" ? "pending" : "applied",
    HttpEndpoint: metadata.endpoint,
    HttpTokens: metadata.tokens,
    HttpPutResponseHopLimit: metadata.hopLimit,
    HttpProtocolIpv6: metadata.ipv6,
    InstanceMetadataTags: metadata.tags,
  };
}

function diskShapes({ volumes }: Held, { id, launchedAt }: FakeInstance): InstanceBlockDeviceMapping[] {
  return (volumes.get(id) ?? []).map((volume) => ({
    DeviceName: volume.disk.device,
    Ebs: {
      VolumeId: volume.id,
      Status: "attached",
      DeleteOnTermination: volume.disk.deleteOnTermination,
      AttachTime: new Date(launchedAt),
    },
  }));
}

function cardShapes(
  { account, groupName, cards: allCards }: Held,
  { id, launchedAt }: FakeInstance,
): Pick<Instance, "NetworkInterfaces" | "PublicIpAddress" | "SecurityGroups"> {
  const cards = allCards.get(id) ?? [];
  const publicIp = cards[0]?.publicIp ?? null;
  const groups = (cards[0]?.groups ?? []).map((GroupId) => ({ GroupId, GroupName: groupName }));
  return {
    SecurityGroups: groups,
    ...(publicIp === null ? {} : { PublicIpAddress: publicIp }),
    NetworkInterfaces: cards.map((card): InstanceNetworkInterface => ({
      NetworkInterfaceId: card.id,
      OwnerId: account,
      SubnetId: card.subnet.id,
      VpcId: card.subnet.vpcId,
      PrivateIpAddress: card.privateIp,
      Status: "in-use",
      Groups: groups,
      ...(card.publicIp === null ? {} : { Association: { PublicIp: card.publicIp, IpOwnerId: "amazon" } }),
      Attachment: {
        AttachmentId: `eni-attach-${card.id.slice("eni-".length)}`,
        DeleteOnTermination: card.deleteOnTermination,
        DeviceIndex: 0,
        Status: "attached",
        AttachTime: new Date(launchedAt),
      },
    })),
  };
}
