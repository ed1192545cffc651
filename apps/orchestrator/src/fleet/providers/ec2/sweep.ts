import type { EC2Client } from "@aws-sdk/client-ec2";
import type { Instant } from "@mayfly/core";
import { createDescribe, type SeenInstance, type SeenThing } from "./describe.ts";
import { type Pause, systemPause } from "./ec2-client.ts";
import { type Asked, deleteThings, terminateInstances } from "./remove.ts";

/** What the service and the machine's own watchdogs have to end it by themselves, before a sweep does. */
const GRACE_MS = 10 * 60_000;
/** Nothing lives this long: the longest run allowed is a day. For what has no deadline in its tags. */
const UNDATED_MS = 48 * 60 * 60_000;

/** What a sweep would remove. */
export interface SweepPlan {
  readonly instances: readonly SeenInstance[];
  /** Attached to nothing. */
  readonly things: readonly SeenThing[];
}

/** What a sweep saw and did. */
export interface Sweep {
  readonly seen: number;
  readonly overdue: readonly string[];
  /** Taken by EC2, or gone already. */
  readonly removed: readonly string[];
  /** Refused, each with what EC2 said, or put off since EC2 asked for fewer requests: the next sweep tries again. */
  readonly left: readonly { readonly id: string; readonly why: string }[];
}

/**
 * Removes what outlived its deadline, from the fleet's tags alone: no store, no service. Idempotent. Throws
 * PROVIDER_UNAVAILABLE when the fleet cannot be read whole.
 *
 * @param dryRun Only says what is overdue.
 * @param begin From 0 up to, not including, 1: where in a list to begin. One request takes no more than so many, and of
 * those that are refused each time there may be as many.
 */
export async function sweepFleet(options: {
  ec2: EC2Client;
  fleet: string;
  now: Instant;
  dryRun?: boolean;
  pause?: Pause;
  begin?: () => number;
}): Promise<Sweep> {
  const { ec2, fleet, now, dryRun = false, pause = systemPause, begin = Math.random } = options;
  const describe = createDescribe({ ec2, fleet, pause });
  const [instances, things] = await Promise.all([describe.instances(), describe.things()]);
  const plan = decideSweep({ instances, things, now });
  const overdue = [...plan.instances, ...plan.things].map(({ id }) => id);
  const seen = instances.filter(({ state }) => state !== "terminated").length + things.length;
  if (dryRun) {
    return { seen, overdue, removed: [], left: [] };
  }
  const ofKind = (kind: SeenThing["kind"]) => turned(plan.things, begin).filter((thing) => thing.kind === kind);
  // At once and each with its own bound: one kind that cannot be removed keeps no other waiting.
  const asked = await Promise.all([
    terminateInstances(ec2, { listed: turned(plan.instances, begin).map(({ id }) => id), unlisted: [] }),
    deleteThings(ec2, ofKind("volume")),
    deleteThings(ec2, ofKind("network interface")),
  ]);
  return { seen, overdue, ...outcomes(overdue, asked.flat()) };
}

/** Which of what a fleet has is past its deadline and the grace. Pure. */
export function decideSweep(options: {
  instances: readonly SeenInstance[];
  things: readonly SeenThing[];
  now: Instant;
}): SweepPlan {
  const { instances, things, now } = options;
  const isOverdue = (deadline: Instant | null, since: Instant | null): boolean => {
    if (deadline !== null) {
      return now >= deadline + GRACE_MS;
    }
    return since !== null && now >= since + UNDATED_MS;
  };
  return {
    instances: instances.filter(({ state, deadline, launchedAt }) => {
      return state !== "terminated" && state !== "shutting-down" && isOverdue(deadline, launchedAt);
    }),
    things: things.filter(({ loose, deadline, createdAt }) => loose && isOverdue(deadline, createdAt)),
  };
}

/** The same, from another place on. */
function turned<T>(items: readonly T[], begin: () => number): T[] {
  const at = Math.floor(begin() * items.length);
  return [...items.slice(at), ...items.slice(0, at)];
}

function outcomes(overdue: readonly string[], asked: readonly Asked[]): Pick<Sweep, "removed" | "left"> {
  const refusals = new Map(asked.map(({ id, refusal }) => [id, refusal]));
  const left = overdue.flatMap((id) => {
    const refusal = refusals.has(id) ? refusals.get(id) : "put off";
    return refusal === null || refusal === undefined ? [] : [{ id, why: refusal }];
  });
  const kept = new Set(left.map(({ id }) => id));
  return { removed: overdue.filter((id) => !kept.has(id)), left };
}
