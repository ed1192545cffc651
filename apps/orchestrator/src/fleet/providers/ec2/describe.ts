import {
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeVolumesCommand,
  type EC2Client,
  type Instance,
  type NetworkInterface,
  type Volume,
} from "@aws-sdk/client-ec2";
import { AppError, type Instant, type MachineId } from "@mayfly/core";
import { bounded, type Pause, read } from "./ec2-client.ts";
import { machineIdOf } from "./machine-id.ts";
import { readTags, tagKeys, type ThingTags } from "./tags.ts";

/** Limit: the most that EC2 puts on one page. */
const PAGE_SIZE = 1_000;
/** Limit: EC2 takes so many values of one filter. */
const FILTER_VALUES_MAX = 200;
/** More pages than the largest fleet has, with all that ended within the hour. */
const PAGES_MAX = 100;

/** An instance as EC2's listing shows it. */
export interface SeenInstance extends ThingTags {
  readonly id: string;
  readonly machine: MachineId;
  readonly state: "pending" | "running" | "shutting-down" | "terminated" | "stopping" | "stopped";
  readonly address: string | null;
  readonly launchedAt: Instant | null;
  /** EC2 may take it back. */
  readonly spot: boolean;
  /** EC2 took it back. */
  readonly interrupted: boolean;
  /** While it lives: afterwards EC2 no longer says what it had. */
  readonly volumes: readonly string[];
  readonly interfaces: readonly string[];
}

/** A volume or network interface as EC2's listing shows it. */
export interface SeenThing extends ThingTags {
  readonly kind: "volume" | "network interface";
  readonly id: string;
  readonly attachedTo: readonly string[];
  /** Attached to nothing and not on its way out: nobody but us will remove it. */
  readonly loose: boolean;
  /** Null where EC2 does not say it. */
  readonly createdAt: Instant | null;
}

/** Reads what a fleet has, by its tag alone. Each throws PROVIDER_UNAVAILABLE unless all of it was read. */
export interface Describe {
  instances(): Promise<SeenInstance[]>;
  things(): Promise<SeenThing[]>;
}

export function createDescribe(options: { ec2: EC2Client; fleet: string; pause: Pause }): Describe {
  const { ec2, fleet, pause } = options;
  const request = { Filters: [{ Name: `tag:${tagKeys.fleet}`, Values: [fleet] }], MaxResults: PAGE_SIZE };

  const instances = () =>
    readPages("instances", pause, async (NextToken) => {
      const page = await ec2.send(new DescribeInstancesCommand({ ...request, NextToken }), bounded());
      const items = (page.Reservations ?? []).flatMap(({ Instances }) => Instances ?? []);
      return { items, next: page.NextToken };
    });
  const volumes = () =>
    readPages("volumes", pause, async (NextToken) => {
      const page = await ec2.send(new DescribeVolumesCommand({ ...request, NextToken }), bounded());
      return { items: page.Volumes ?? [], next: page.NextToken };
    });
  const interfaces = () =>
    readPages("network interfaces", pause, async (NextToken) => {
      const page = await ec2.send(new DescribeNetworkInterfacesCommand({ ...request, NextToken }), bounded());
      return { items: page.NetworkInterfaces ?? [], next: page.NextToken };
    });

  return {
    instances: async () => (await instances()).map(seenInstance),
    things: async () => {
      const [disks, cards] = await Promise.all([volumes(), interfaces()]);
      return [...disks.flatMap(seenVolume), ...cards.flatMap(seenInterface)];
    },
  };
}

/**
 * Which of these instances are there in any state but terminated, whatever tags they have. One call for so many as a
 * filter takes: unlike a plain list of ids, a filter is not refused for one that EC2 does not know. Throws
 * PROVIDER_UNAVAILABLE unless all were looked for.
 */
export async function findLiving(
  { ec2, pause }: { ec2: EC2Client; pause: Pause },
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const found = await byId("instances", pause, { filter: "instance-id", ids }, async (request) => {
    const page = await ec2.send(new DescribeInstancesCommand(request), bounded());
    const items = (page.Reservations ?? []).flatMap(({ Instances }) => Instances ?? []);
    return { items, next: page.NextToken };
  });
  const living = found.filter(({ State }) => State?.Name !== "terminated");
  return new Set(living.flatMap(({ InstanceId }) => InstanceId ?? []));
}

/** Those of these volumes and network interfaces that are there, whatever tags they have; else as `findLiving`. */
export async function findThings(
  { ec2, pause }: { ec2: EC2Client; pause: Pause },
  ids: { volumes: readonly string[]; interfaces: readonly string[] },
): Promise<SeenThing[]> {
  const disks = byId("volumes", pause, { filter: "volume-id", ids: ids.volumes }, async (request) => {
    const page = await ec2.send(new DescribeVolumesCommand(request), bounded());
    return { items: page.Volumes ?? [], next: page.NextToken };
  });
  const cardIds = { filter: "network-interface-id", ids: ids.interfaces };
  const cards = byId("network interfaces", pause, cardIds, async (request) => {
    const page = await ec2.send(new DescribeNetworkInterfacesCommand(request), bounded());
    return { items: page.NetworkInterfaces ?? [], next: page.NextToken };
  });
  const [volumes, interfaces] = await Promise.all([disks, cards]);
  return [...volumes.flatMap(seenVolume), ...interfaces.flatMap(seenInterface)];
}

interface PageRequest {
  readonly Filters: { readonly Name: string; readonly Values: string[] }[];
  readonly MaxResults: number;
  readonly NextToken: string | undefined;
}

async function byId<Item>(
  what: string,
  pause: Pause,
  { filter, ids }: { filter: string; ids: readonly string[] },
  readPage: (request: PageRequest) => Promise<{ items: Item[]; next: string | undefined }>,
): Promise<Item[]> {
  const found: Item[] = [];
  for (let at = 0; at < ids.length; at += FILTER_VALUES_MAX) {
    const Filters = [{ Name: filter, Values: ids.slice(at, at + FILTER_VALUES_MAX) }];
    const ask = (NextToken: string | undefined) => readPage({ Filters, MaxResults: PAGE_SIZE, NextToken });
    found.push(...(await readPages(what, pause, ask)));
  }
  return found;
}

async function readPages<Item>(
  what: string,
  pause: Pause,
  readPage: (token: string | undefined) => Promise<{ items: Item[]; next: string | undefined }>,
): Promise<Item[]> {
  const items: Item[] = [];
  let token: string | undefined;
  for (let pages = 1; pages <= PAGES_MAX; pages++) {
    const page = await read(what, pause, () => readPage(token));
    items.push(...page.items);
    token = page.next;
    if (token === undefined || token === "") {
      return items;
    }
  }
  throw new AppError("PROVIDER_UNAVAILABLE", `EC2 lists more than ${PAGES_MAX} pages of ${what}`);
}

function seenInstance(instance: Instance): SeenInstance {
  const { InstanceId: id = "", State, StateReason, Tags, LaunchTime, PrivateIpAddress, InstanceLifecycle } = instance;
  const machine = machineIdOf(id);
  const state = State?.Name;
  if (machine === null || state === undefined) {
    throw new AppError("PROVIDER_UNAVAILABLE", "EC2 lists an instance without a usable id or state");
  }
  return {
    ...readTags(Tags),
    id,
    machine,
    state,
    address: PrivateIpAddress ?? null,
    launchedAt: LaunchTime?.getTime() ?? null,
    spot: InstanceLifecycle === "spot",
    interrupted: StateReason?.Code === "Server.SpotInstanceTermination",
    volumes: (instance.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.VolumeId ?? []),
    interfaces: (instance.NetworkInterfaces ?? []).flatMap(({ NetworkInterfaceId }) => NetworkInterfaceId ?? []),
  };
}

function seenVolume({ VolumeId: id, State, Attachments, CreateTime, Tags }: Volume): SeenThing[] {
  if (id === undefined || State === "deleted") {
    return [];
  }
  const attachedTo = (Attachments ?? []).flatMap(({ InstanceId }) => InstanceId ?? []);
  const loose = attachedTo.length === 0 && (State === "available" || State === "error");
  return [{ ...readTags(Tags), kind: "volume", id, attachedTo, loose, createdAt: CreateTime?.getTime() ?? null }];
}

function seenInterface({ NetworkInterfaceId: id, Status, Attachment, TagSet }: NetworkInterface): SeenThing[] {
  if (id === undefined) {
    return [];
  }
  const attachedTo = Attachment?.InstanceId === undefined ? [] : [Attachment.InstanceId];
  const loose = attachedTo.length === 0 && Status === "available";
  return [{ ...readTags(TagSet), kind: "network interface", id, attachedTo, loose, createdAt: null }];
}
