import type {
  DescribeInstancesRequest,
  DescribeInstancesResult,
  GetConsoleOutputRequest,
  GetConsoleOutputResult,
  TerminateInstancesRequest,
  TerminateInstancesResult,
} from "@aws-sdk/client-ec2";
import { reservationShape, stateCodes } from "./instance-shape.ts";
import { settle, terminate } from "./life.ts";
import { badCombination, badValue, Ec2Refusal, onlyModelled } from "./refusal.ts";
import { byIds, type Fields, filtered, paged } from "./select.ts";
import { type FakeInstance, isVisible, type World } from "./world.ts";

const ids = { prefix: "i", code: "InvalidInstanceID.NotFound" };
const paging = { min: 5, max: 1_000, ordinalOf: ({ ordinal }: FakeInstance) => ordinal };
// EC2's limit for one call.
const TERMINATE_MAX = 1_000;
// EC2 keeps the last 64 KiB.
const CONSOLE_BYTES_MAX = 64 * 1024;

const fields: Fields<FakeInstance> = {
  "availability-zone": ({ subnet }) => [subnet.zone],
  "client-token": ({ clientToken }) => [clientToken ?? ""],
  "image-id": ({ blueprint }) => [blueprint.imageId],
  "instance-id": ({ id }) => [id],
  "instance-lifecycle": ({ blueprint }) => (blueprint.lifecycle === "spot" ? ["spot"] : []),
  "instance-state-code": ({ phase }) => [String(stateCodes[phase])],
  "instance-state-name": ({ phase }) => [phase],
  "instance-type": ({ blueprint }) => [blueprint.instanceType],
  "private-ip-address": ({ phase, privateIp }) => (phase === "terminated" ? [] : [privateIp]),
  "reservation-id": ({ reservationId }) => [reservationId],
  "state-reason-code": ({ reason }) => (reason === null ? [] : [reason.code]),
  "subnet-id": ({ phase, subnet }) => (phase === "terminated" ? [] : [subnet.id]),
  "vpc-id": ({ phase, subnet }) => (phase === "terminated" ? [] : [subnet.vpcId]),
};

export function describeInstances(world: World, input: DescribeInstancesRequest): DescribeInstancesResult {
  onlyModelled("DescribeInstances", input, ["DryRun", "Filters", "InstanceIds", "MaxResults", "NextToken"]);
  if (input.InstanceIds !== undefined && input.MaxResults !== undefined) {
    throw badCombination("The parameter instancesSet cannot be used with the parameter maxResults");
  }
  const named =
    input.InstanceIds === undefined
      ? [...world.instances.values()].filter((instance) => isVisible(world, instance))
      : byIds(world, world.instances, input.InstanceIds, ids);
  const found = filtered(named, input.Filters, fields, ({ tags }) => tags);
  const { page, nextToken } = paged(found, input, { ...paging, pageMax: world.pageMax });
  return { Reservations: reservationShape(world, page), NextToken: nextToken };
}

/** All or none: one id that is unknown, malformed or protected refuses the call. */
export function terminateInstances(world: World, input: TerminateInstancesRequest): TerminateInstancesResult {
  onlyModelled("TerminateInstances", input, ["DryRun", "Force", "InstanceIds", "SkipOsShutdown"]);
  const wanted = [...new Set(input.InstanceIds)];
  if (wanted.length === 0 || wanted.length > TERMINATE_MAX) {
    throw badValue("InstanceId", String(wanted.length), `A call names 1 to ${TERMINATE_MAX} instances.`);
  }
  const instances = byIds(world, world.instances, wanted, ids);
  const held = instances.find(({ blueprint }) => blueprint.isProtected);
  if (held !== undefined) {
    const why = `The instance '${held.id}' may not be terminated. Modify its 'disableApiTermination' instance attribute.`;
    throw new Ec2Refusal("OperationNotPermitted", why);
  }
  const ms = input.SkipOsShutdown === true ? world.pace.skippedTerminationMs : world.pace.terminationMs;
  const changes = instances.map((instance) => {
    const before = stateOf(instance);
    terminate(world, instance, { code: "Client.UserInitiatedShutdown", message: "User initiated shutdown", ms });
    return { InstanceId: instance.id, PreviousState: before, CurrentState: stateOf(instance) };
  });
  settle(world);
  return { TerminatingInstances: changes };
}

/** Whatever a test put there, in base64 as EC2 gives it. */
export function getConsoleOutput(world: World, input: GetConsoleOutputRequest): GetConsoleOutputResult {
  onlyModelled("GetConsoleOutput", input, ["DryRun", "InstanceId", "Latest"]);
  const [instance] = byIds(world, world.instances, [input.InstanceId ?? ""], ids);
  const text = world.consoles.get(input.InstanceId ?? "");
  return {
    InstanceId: instance?.id,
    Timestamp: new Date(world.clock()),
    // Without any output the member is left out.
    ...(text === undefined ? {} : { Output: Buffer.from(text).subarray(-CONSOLE_BYTES_MAX).toString("base64") }),
  };
}

function stateOf({ phase }: FakeInstance) {
  return { Code: stateCodes[phase], Name: phase };
}
