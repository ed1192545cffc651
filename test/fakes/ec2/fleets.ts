/** CreateFleet of type instant: one attempt over many offerings, in part if need be. */
import type {
  CreateFleetError,
  CreateFleetInstance,
  CreateFleetRequest,
  CreateFleetResult,
  LaunchTemplateAndOverridesResponse,
  RequestLaunchTemplateData,
} from "@aws-sdk/client-ec2";
import { blueprintOf } from "./blueprint.ts";
import { freeMachines, insufficient, type Offering, priceOf } from "./capacity.ts";
import { launch } from "./life.ts";
import { badCombination, badValue, Ec2Refusal, onlyModelled } from "./refusal.ts";
import { readTagSpecifications } from "./tags.ts";
import { resolveTemplate } from "./templates.ts";
import { once } from "./tokens.ts";
import type { FakeSubnet, Lifecycle, World } from "./world.ts";

interface Pool {
  readonly type: string;
  readonly subnet: FakeSubnet;
  readonly priority: number;
  readonly template: { readonly id: string; readonly name: string; readonly version: number };
  readonly data: RequestLaunchTemplateData;
}

interface Fill {
  readonly input: CreateFleetRequest;
  readonly fleetId: string;
  readonly pools: readonly Pool[];
  readonly lifecycle: Lifecycle;
  readonly count: number;
}

// EC2's quota for one fleet of type instant.
const CAPACITY_MAX = 10_000;
const POOLS_MAX = 300;

/** Some, all or no instances: what could not be had is among the answer's errors. */
export function createFleet(world: World, input: CreateFleetRequest): CreateFleetResult {
  checkRequest(input);
  return once(world, "CreateFleet", input, () => {
    const pools = poolsOf(world, input);
    const counts = countsOf(input);
    world.buckets.take("machines", counts["on-demand"] + counts.spot);
    const fleetId = `fleet-${[8, 4, 4, 4, 12].map((digits) => world.names.hex(digits)).join("-")}`;
    const parts = (["on-demand", "spot"] as const).map((lifecycle) =>
      fill(world, { input, fleetId, pools, lifecycle, count: counts[lifecycle] }),
    );
    return {
      FleetId: fleetId,
      Instances: parts.flatMap(({ instances }) => instances),
      Errors: parts.flatMap(({ errors }) => errors),
    };
  });
}

function checkRequest(input: CreateFleetRequest): void {
  onlyModelled("CreateFleet", input, [
    "ClientToken",
    "DryRun",
    "LaunchTemplateConfigs",
    "OnDemandOptions",
    "SpotOptions",
    "TagSpecifications",
    "TargetCapacitySpecification",
    "Type",
  ]);
  onlyModelled("SpotOptions", input.SpotOptions, ["AllocationStrategy", "InstanceInterruptionBehavior"]);
  onlyModelled("OnDemandOptions", input.OnDemandOptions, ["AllocationStrategy"]);
  if (input.Type !== "instant") {
    throw new Ec2Refusal("NotModelled", "The stand-in models fleets of type instant.", 501);
  }
  if ((input.SpotOptions?.InstanceInterruptionBehavior ?? "terminate") !== "terminate") {
    throw badCombination("Fleets of type instant terminate interrupted instances.");
  }
  readTagSpecifications(input.TagSpecifications);
}

function countsOf({ TargetCapacitySpecification: capacity }: CreateFleetRequest): Record<Lifecycle, number> {
  onlyModelled("TargetCapacitySpecification", capacity, [
    "DefaultTargetCapacityType",
    "OnDemandTargetCapacity",
    "SpotTargetCapacity",
    "TotalTargetCapacity",
  ]);
  const total = capacity?.TotalTargetCapacity ?? 0;
  if (total < 1 || total > CAPACITY_MAX) {
    throw badValue(
      "TargetCapacitySpecification.TotalTargetCapacity",
      String(total),
      `It must be 1 to ${CAPACITY_MAX}.`,
    );
  }
  const [spot, onDemand] = [capacity?.SpotTargetCapacity ?? 0, capacity?.OnDemandTargetCapacity ?? 0];
  const left = total - spot - onDemand;
  const kind = capacity?.DefaultTargetCapacityType;
  if (left < 0 || spot < 0 || onDemand < 0) {
    throw badCombination("The spot and on-demand target capacities must not exceed the total target capacity.");
  }
  if (left > 0 && kind !== "spot" && kind !== "on-demand") {
    throw badCombination("DefaultTargetCapacityType must say what the rest of the total target capacity is.");
  }
  return { spot: spot + (kind === "spot" ? left : 0), "on-demand": onDemand + (kind === "on-demand" ? left : 0) };
}

function poolsOf(world: World, { LaunchTemplateConfigs: configs = [] }: CreateFleetRequest): Pool[] {
  const pools = configs.flatMap(({ LaunchTemplateSpecification: spec, Overrides: overrides, ...rest }) => {
    onlyModelled("LaunchTemplateConfig", rest, []);
    if (spec?.Version === undefined) {
      throw new Ec2Refusal(
        "MissingParameter",
        "The request must contain the parameter LaunchTemplateSpecification.Version",
      );
    }
    const template = resolveTemplate(world, spec);
    return (overrides ?? []).map((override): Pool => {
      onlyModelled("Override", override, ["InstanceType", "SubnetId", "Priority"]);
      const subnet = world.place.subnets.find(({ id }) => id === override.SubnetId);
      if (override.SubnetId === undefined || subnet === undefined) {
        throw new Ec2Refusal("InvalidSubnetID.NotFound", `The subnet ID '${override.SubnetId}' does not exist`);
      }
      const type = override.InstanceType ?? template.data.InstanceType ?? "";
      return { type, subnet, priority: override.Priority ?? Infinity, template, data: template.data };
    });
  });
  const keys = new Set(pools.map(({ type, subnet }) => `${type} ${subnet.id}`));
  if (keys.size !== pools.length) {
    throw new Ec2Refusal("InvalidFleetConfig", "The fleet configuration contains duplicate instance pools.");
  }
  if (pools.length === 0 || pools.length > POOLS_MAX) {
    throw new Ec2Refusal("InvalidFleetConfig", `A fleet needs 1 to ${POOLS_MAX} overrides.`);
  }
  return pools;
}

function fill(world: World, wanted: Fill): { instances: CreateFleetInstance[]; errors: CreateFleetError[] } {
  const instances: CreateFleetInstance[] = [];
  const errors: CreateFleetError[] = [];
  let left = wanted.count;
  for (const pool of left === 0 ? [] : ordered(world, wanted)) {
    if (left === 0) {
      break;
    }
    const { lifecycle } = wanted;
    try {
      const ids = launchIn(world, wanted, pool, left);
      left -= ids.length;
      const shape = { LaunchTemplateAndOverrides: templateShape(pool), Lifecycle: lifecycle, InstanceIds: ids };
      instances.push({ ...shape, InstanceType: instanceType(pool) });
      if (left > 0) {
        throw insufficient(offeringOf(pool, lifecycle));
      }
    } catch (error) {
      errors.push(errorShape(error, pool, lifecycle));
    }
  }
  return { instances, errors };
}

function launchIn(world: World, { input, fleetId, lifecycle }: Fill, pool: Pool, wanted: number): string[] {
  if (lifecycle === "on-demand" && "spot-instances-request" in readTagSpecifications(input.TagSpecifications)) {
    // Seen in the field, as an error of each offering.
    const why =
      "You cannot specify tags for Spot instances requests if there are no Spot instances requests being created by the request.";
    throw new Ec2Refusal("InvalidParameterValue", why);
  }
  const count = Math.min(wanted, freeMachines(world, offeringOf(pool, lifecycle)));
  const data = { ...pool.data, InstanceType: instanceType(pool) };
  const callTags = input.TagSpecifications?.filter(({ ResourceType }) => ResourceType !== "fleet");
  const blueprint = blueprintOf(world, data, { subnet: pool.subnet, lifecycle, template: pool.template, callTags });
  return launch(world, { blueprint, count, fleetId, clientToken: `${fleetId}-0` }).map(({ id }) => id);
}

function ordered(world: World, { input, pools, lifecycle }: Fill): Pool[] {
  const options = lifecycle === "spot" ? input.SpotOptions : input.OnDemandOptions;
  const strategy = options?.AllocationStrategy ?? "lowest-price";
  const shuffled = world.names.shuffled(pools);
  if (strategy === "prioritized" || strategy === "capacity-optimized-prioritized") {
    return shuffled.sort((left, right) => left.priority - right.priority);
  }
  const byPrice = (left: Pool, right: Pool) =>
    priceOf(world, offeringOf(left, lifecycle)) - priceOf(world, offeringOf(right, lifecycle));
  return strategy === "lowest-price" ? shuffled.sort(byPrice) : shuffled;
}

function errorShape(error: unknown, pool: Pool, lifecycle: Lifecycle): CreateFleetError {
  if (!(error instanceof Ec2Refusal)) {
    throw error;
  }
  return {
    LaunchTemplateAndOverrides: templateShape(pool),
    Lifecycle: lifecycle,
    // A fleet has a word of its own for an offering that does not exist.
    ErrorCode: error.code === "Unsupported" ? "InvalidFleetConfiguration" : error.code,
    ErrorMessage: error.message,
  };
}

function templateShape({ template, type, subnet }: Pool): LaunchTemplateAndOverridesResponse {
  return {
    LaunchTemplateSpecification: { LaunchTemplateId: template.id, Version: String(template.version) },
    Overrides: {
      InstanceType: type as CreateFleetInstance["InstanceType"],
      SubnetId: subnet.id,
      AvailabilityZone: subnet.zone,
    },
  };
}

function instanceType({ type }: Pool): RequestLaunchTemplateData["InstanceType"] {
  return type as RequestLaunchTemplateData["InstanceType"];
}

function offeringOf({ type, subnet }: Pool, lifecycle: Lifecycle): Offering {
  return { type, zone: subnet.zone, lifecycle };
}
