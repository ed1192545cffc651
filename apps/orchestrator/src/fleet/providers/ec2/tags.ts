import { type Digest, type Instant, isDigest, isLaunchId, type LaunchId } from "@mayfly/core";

/** On every instance, volume and network interface, from the call that makes them: whoever finds one knows what it is. */
export const tagKeys = {
  fleet: "mayfly:fleet",
  pool: "mayfly:pool",
  launch: "mayfly:launch",
  deadline: "mayfly:deadline",
  spec: "mayfly:spec",
} as const;

/** The fleet of `mayfly verify-ec2`: one of its own, so that neither it nor a service ends the other's machines. */
export function trialFleetOf(fleet: string): string {
  return `${fleet}-verify`;
}

/** Digits of the spec in a pool's name: enough to tell pools apart by eye. */
const POOL_DIGITS = 12;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** A tag as EC2 has it, in requests and in answers. */
export interface Tag {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

/** What a thing's tags say. Each is null where they do not say it in our words. */
export interface ThingTags {
  readonly launch: LaunchId | null;
  readonly deadline: Instant | null;
  readonly spec: Digest | null;
}

/** The tags of all that one launch makes. */
export function tagsOf(options: {
  fleet: string;
  launch: LaunchId;
  deadline: Instant;
  spec: Digest;
}): { Key: string; Value: string }[] {
  const { fleet, launch, deadline, spec } = options;
  return [
    { Key: tagKeys.fleet, Value: fleet },
    { Key: tagKeys.pool, Value: poolOf(spec) },
    { Key: tagKeys.launch, Value: launch },
    { Key: tagKeys.deadline, Value: new Date(deadline).toISOString() },
    { Key: tagKeys.spec, Value: spec },
  ];
}

/** Reads tags that anybody with the right may have written. */
export function readTags(tags: readonly Tag[] | undefined): ThingTags {
  const valueOf = (key: string): string => tags?.find((tag) => tag.Key === key)?.Value ?? "";
  const launch = valueOf(tagKeys.launch);
  const spec = valueOf(tagKeys.spec);
  const deadline = valueOf(tagKeys.deadline);
  const at = INSTANT.test(deadline) ? Date.parse(deadline) : Number.NaN;
  return {
    launch: isLaunchId(launch) ? launch : null,
    deadline: Number.isNaN(at) ? null : at,
    spec: isDigest(spec) ? spec : null,
  };
}

/** Machines made of the same are one pool. */
function poolOf(spec: Digest): string {
  return spec.slice("sha256:".length, "sha256:".length + POOL_DIGITS);
}
