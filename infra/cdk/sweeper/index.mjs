/**
 * Ends machines, volumes and interfaces of one fleet that have outlived their deadline. It goes by tags alone and knows
 * nothing of the service, so that it works when nothing else does. Runs on Lambda, whose runtime brings the SDK.
 */
import {
  DeleteNetworkInterfaceCommand,
  DeleteVolumeCommand,
  EC2Client,
  paginateDescribeInstances,
  paginateDescribeNetworkInterfaces,
  paginateDescribeVolumes,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";

/** A machine ends itself at its deadline, and the service looks once a second: this is for when neither did. */
export const GRACE_MS = 10 * 60_000;
/** What has no deadline that can be read was not made by a launch of the service. Nothing of ours lives so long. */
export const UNTAGGED_MS = 48 * 60 * 60_000;
const PAGE = 500;
/** More than this is left for the next time: Lambda ends us after two minutes. */
const ENDED_MAX = 500;

/**
 * Lists the whole fleet before it ends anything; when a page cannot be read nothing is ended. Each thing is ended by a
 * call of its own, so that one that cannot be ended keeps no other alive.
 *
 * @returns How many of each were ended, and what could not be.
 */
export async function sweep({ ec2, fleet, now }) {
  const filters = [{ Name: "tag:mayfly:fleet", Values: [fleet] }];
  const due = [
    ...(await instances(ec2, filters)),
    ...(await volumes(ec2, filters)),
    ...(await interfaces(ec2, filters)),
  ].filter((thing) => isDue(thing, now));
  const ended = { instance: 0, volume: 0, interface: 0 };
  const failed = [];
  for (const { kind, id, command } of due.slice(0, ENDED_MAX)) {
    try {
      await ec2.send(command);
      ended[kind] += 1;
    } catch (error) {
      failed.push({ id, error: error instanceof Error ? error.name : "unknown" });
    }
  }
  return { ended, failed, left: Math.max(0, due.length - ENDED_MAX) };
}

/** Whether its time is over. `since` is its creation, where EC2 tells. */
export function isDue({ deadline, since }, now) {
  const at = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/.test(deadline ?? "") ? Date.parse(deadline) : Number.NaN;
  if (!Number.isNaN(at)) {
    return now > at + GRACE_MS;
  }
  return since !== null && now > since + UNTAGGED_MS;
}

async function instances(ec2, filters) {
  const living = {
    Name: "instance-state-name",
    Values: ["pending", "running", "stopping", "stopped", "shutting-down"],
  };
  const found = [];
  for await (const page of paginateDescribeInstances(
    { client: ec2, pageSize: PAGE },
    { Filters: [...filters, living] },
  )) {
    for (const { InstanceId: id, Tags, LaunchTime } of (page.Reservations ?? []).flatMap(
      (one) => one.Instances ?? [],
    )) {
      const command = new TerminateInstancesCommand({ InstanceIds: [id], Force: true, SkipOsShutdown: true });
      found.push({ kind: "instance", id, command, deadline: deadlineOf(Tags), since: LaunchTime?.getTime() ?? null });
    }
  }
  return found;
}

/** Those that hang on nothing: a machine takes its own with it. */
async function volumes(ec2, filters) {
  const loose = { Name: "status", Values: ["available"] };
  const found = [];
  for await (const page of paginateDescribeVolumes({ client: ec2, pageSize: PAGE }, { Filters: [...filters, loose] })) {
    for (const { VolumeId: id, Tags, CreateTime } of page.Volumes ?? []) {
      const command = new DeleteVolumeCommand({ VolumeId: id });
      found.push({ kind: "volume", id, command, deadline: deadlineOf(Tags), since: CreateTime?.getTime() ?? null });
    }
  }
  return found;
}

async function interfaces(ec2, filters) {
  const loose = { Name: "status", Values: ["available"] };
  const found = [];
  for await (const page of paginateDescribeNetworkInterfaces(
    { client: ec2, pageSize: PAGE },
    { Filters: [...filters, loose] },
  )) {
    for (const { NetworkInterfaceId: id, TagSet } of page.NetworkInterfaces ?? []) {
      const command = new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: id });
      // EC2 does not say when an interface was made: without a deadline it is left, and costs nothing.
      found.push({ kind: "interface", id, command, deadline: deadlineOf(TagSet), since: null });
    }
  }
  return found;
}

function deadlineOf(tags) {
  return tags?.find(({ Key }) => Key === "mayfly:deadline")?.Value ?? null;
}

/** One JSON line a sweep: the alarms count what is in it. Fails when anything could not be ended. */
export async function handler() {
  const fleet = process.env.FLEET;
  if (fleet === undefined || fleet === "") {
    throw new Error("FLEET is not set");
  }
  const done = await sweep({ ec2: new EC2Client({}), fleet, now: Date.now() });
  const { instance, volume, interface: interfaceCount } = done.ended;
  console.log(JSON.stringify({ msg: "swept", fleet, total: instance + volume + interfaceCount, ...done }));
  if (done.failed.length > 0) {
    throw new Error(`${done.failed.length} things could not be ended`);
  }
}
