import { createHash } from "node:crypto";
import type { CreateFleetCommandInput } from "@aws-sdk/client-ec2";
import { AppError, type Launch, type LaunchPlan } from "@mayfly/core";
import { z } from "zod";
import { tagsOf } from "./tags.ts";

const NAME_CHARS_MAX = 128;
/** The settings allow no more offerings than this either. */
const OFFERINGS_MAX = 60;
const Name = z.string().min(1).max(NAME_CHARS_MAX);

/** What stands in the record of a launch: read again word for word, maybe by a later version of this program. */
const Ec2Plan = z.strictObject({
  purchase: z.enum(["spot", "on-demand"]),
  fleet: Name,
  template: z.strictObject({ id: Name, version: Name }),
  offerings: z
    .array(z.strictObject({ subnet: Name, type: Name }))
    .min(1)
    .max(OFFERINGS_MAX),
});
export type Ec2Plan = z.infer<typeof Ec2Plan>;

/** Throws MACHINE_LAUNCH_FAILED for a plan that this version does not understand. */
export function readPlan(plan: LaunchPlan): Ec2Plan {
  const read = Ec2Plan.safeParse(plan);
  if (!read.success) {
    throw new AppError("MACHINE_LAUNCH_FAILED", "the launch was planned by a version that spoke of other things", {
      cause: read.error,
    });
  }
  return read.data;
}

/**
 * The one request of a launch: a function of its record alone, so that a repetition is the same request. EC2 knows it by
 * a token over all of it, and answers a repetition with the machines it has made already.
 */
export function requestOf(launch: Launch, plan: Ec2Plan): CreateFleetCommandInput {
  const request: CreateFleetCommandInput = {
    Type: "instant",
    TargetCapacitySpecification: { TotalTargetCapacity: launch.count, DefaultTargetCapacityType: plan.purchase },
    ...(plan.purchase === "spot"
      ? { SpotOptions: { AllocationStrategy: "price-capacity-optimized" } }
      : { OnDemandOptions: { AllocationStrategy: "prioritized" } }),
    LaunchTemplateConfigs: [
      {
        LaunchTemplateSpecification: { LaunchTemplateId: plan.template.id, Version: plan.template.version },
        Overrides: overridesOf(plan),
      },
    ],
    TagSpecifications: tagSpecifications(launch, plan),
  };
  return { ...request, ClientToken: createHash("sha256").update(JSON.stringify(request)).digest("hex") };
}

function overridesOf({ purchase, offerings }: Ec2Plan) {
  const types = [...new Set(offerings.map(({ type }) => type))];
  return offerings.map(({ subnet, type }) => ({
    SubnetId: subnet,
    InstanceType: type as never,
    ...(purchase === "spot" ? {} : { Priority: types.indexOf(type) }),
  }));
}

function tagSpecifications(launch: Launch, { fleet }: Ec2Plan) {
  const { id, deadline, spec } = launch;
  const tags = tagsOf({ fleet, launch: id, deadline, spec });
  return (["instance", "volume", "network-interface", "fleet"] as const).map((kind) => ({
    ResourceType: kind,
    Tags: tags,
  }));
}
