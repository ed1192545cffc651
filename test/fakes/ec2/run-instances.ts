import type { RequestLaunchTemplateData, Reservation, RunInstancesRequest } from "@aws-sdk/client-ec2";
import { blueprintOf, checkData } from "./blueprint.ts";
import { freeMachines, insufficient } from "./capacity.ts";
import { reservationShape } from "./instance-shape.ts";
import { launch } from "./life.ts";
import { badValue, Ec2Refusal, onlyModelled } from "./refusal.ts";
import { readTagSpecifications } from "./tags.ts";
import { resolveTemplate } from "./templates.ts";
import { once } from "./tokens.ts";
import type { FakeInstance, FakeSubnet, Lifecycle, World } from "./world.ts";

/** What the call says itself, and not of the machine. */
const own = ["ClientToken", "DryRun", "LaunchTemplate", "MaxCount", "MinCount", "SubnetId", "TagSpecifications"];
// EC2's limit for one call.
const COUNT_MAX = 1_000;

/** At least MinCount machines of one type in one subnet, or a refusal. */
export function runInstances(world: World, input: RunInstancesRequest): Reservation {
  const { instances } = once(world, "RunInstances", input, () => ({ instances: launchAll(world, input) }));
  const [reservation] = reservationShape(world, instances);
  if (reservation === undefined) {
    throw new Error("a launch that was not refused made something");
  }
  return reservation;
}

function launchAll(world: World, input: RunInstancesRequest): FakeInstance[] {
  const { MinCount: min = 0, MaxCount: max = 0, ClientToken: clientToken = null } = input;
  if (min < 1 || max < min || max > COUNT_MAX) {
    throw badValue("MaxCount", String(max), `Counts are 1 to ${COUNT_MAX}, MinCount not above MaxCount.`);
  }
  const template = input.LaunchTemplate === undefined ? null : resolveTemplate(world, input.LaunchTemplate);
  const said = Object.fromEntries(Object.entries(input).filter(([name]) => !own.includes(name)));
  const data: RequestLaunchTemplateData = { ...template?.data, ...said };
  checkData(world, data);
  const callTags = input.TagSpecifications;
  readTagSpecifications(callTags);
  const subnet = subnetOf(world, input.SubnetId ?? data.NetworkInterfaces?.[0]?.SubnetId);
  const lifecycle = lifecycleOf(input, data);
  const blueprint = blueprintOf(world, data, { subnet, lifecycle, template, callTags });
  const offering = { type: blueprint.instanceType, zone: subnet.zone, lifecycle };
  const count = Math.min(max, freeMachines(world, offering));
  if (count < min) {
    throw insufficient(offering);
  }
  world.buckets.take("machines", count);
  return launch(world, { blueprint, count, fleetId: null, clientToken });
}

function subnetOf({ place }: World, id: string | undefined): FakeSubnet {
  const subnet = place.subnets.find((known) => known.id === id);
  if (id === undefined) {
    throw new Ec2Refusal("MissingInput", "No subnets found for the default VPC. Please specify a subnet.");
  }
  if (subnet === undefined) {
    throw new Ec2Refusal("InvalidSubnetID.NotFound", `The subnet ID '${id.slice(0, 100)}' does not exist`);
  }
  return subnet;
}

function lifecycleOf(input: RunInstancesRequest, data: RequestLaunchTemplateData): Lifecycle {
  const options = input.InstanceMarketOptions ?? data.InstanceMarketOptions;
  onlyModelled("InstanceMarketOptions", options, ["MarketType"]);
  return options?.MarketType === "spot" ? "spot" : "on-demand";
}
