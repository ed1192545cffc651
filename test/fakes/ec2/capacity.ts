/** Whether EC2 has room for machines of an offering. */
import { isAlive } from "./life.ts";
import { Ec2Refusal } from "./refusal.ts";
import type { CapacityRule, FakeInstance, Lifecycle, World } from "./world.ts";

export interface Offering {
  readonly type: string;
  readonly zone: string;
  readonly lifecycle: Lifecycle;
}

/** Throws why not even one machine can be had; else answers how many can. */
export function freeMachines(world: World, offering: Offering): number {
  checkOffered(world, offering);
  const alive = [...world.instances.values()].filter(isAlive);
  const quota = world.quota[offering.lifecycle];
  const used = alive.filter(({ blueprint }) => blueprint.lifecycle === offering.lifecycle).length;
  if (quota !== null && used >= quota) {
    throw offering.lifecycle === "spot"
      ? new Ec2Refusal("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
      : new Ec2Refusal(
          "VcpuLimitExceeded",
          "You have requested more vCPU capacity than your current vCPU limit allows.",
        );
  }
  const rooms = world.capacity
    .filter((rule) => isMatch(rule, offering))
    .map((rule) => rule.machines - alive.filter((instance) => isMatch(rule, offeringOf(instance))).length);
  const free = Math.min(quota === null ? Infinity : quota - used, ...rooms);
  if (free <= 0 || world.luck.happens(world.chaos.noCapacity)) {
    throw insufficient(offering);
  }
  return free;
}

/** EC2's status for it is a server's fault: a client may take it for one. */
export function insufficient({ type, zone }: Offering): Ec2Refusal {
  const why = `We currently do not have sufficient ${type} capacity in the Availability Zone you requested (${zone}).`;
  return new Ec2Refusal("InsufficientInstanceCapacity", why, 500);
}

/** The lowest price comes first in a listing by price. */
export function priceOf({ place }: World, { type, lifecycle }: Offering): number {
  const dollars = place.types.find(({ name }) => name === type)?.dollars ?? 0;
  return lifecycle === "spot" ? dollars * SPOT_SHARE : dollars;
}

const SPOT_SHARE = 0.4;

function checkOffered({ place }: World, { type, zone }: Offering): void {
  const offered = place.types.find(({ name }) => name === type);
  if (offered === undefined || !offered.zones.includes(zone.slice(-1))) {
    const why = `Your requested instance type (${type}) is not supported in your requested Availability Zone (${zone}).`;
    throw new Ec2Refusal("Unsupported", why);
  }
}

function offeringOf({ blueprint, subnet }: FakeInstance): Offering {
  return { type: blueprint.instanceType, zone: subnet.zone, lifecycle: blueprint.lifecycle };
}

function isMatch(rule: CapacityRule, offering: Offering): boolean {
  return (
    (rule.type ?? offering.type) === offering.type &&
    (rule.zone ?? offering.zone) === offering.zone &&
    (rule.lifecycle ?? offering.lifecycle) === offering.lifecycle
  );
}
