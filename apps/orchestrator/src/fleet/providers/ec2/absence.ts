import type { AbsenceCheck, Instant, LaunchId } from "@mayfly/core";
import type { SeenInstance, SeenThing } from "./describe.ts";

/** What is known of an instance that is to be gone, also when EC2 no longer says what it had. */
export interface Trace {
  readonly launch: LaunchId | null;
  readonly volumes: ReadonlySet<string>;
  readonly interfaces: ReadonlySet<string>;
  /** EC2 listed it as running, and what it had: then that is all it had. While it begins EC2 may not say all of it. */
  readonly isWhole: boolean;
  /** Since when EC2 lists it no more, or not yet; null while it is listed. */
  readonly unlistedSince: Instant | null;
}

/** Limit: what is new may be missing in EC2's listings for some seconds; long after that its absence means something. */
export const listingLagMs = 60_000;

/**
 * True once its processor is gone for good and EC2's listings show whatever it had: only then it is worth looking for the
 * rest. Of one that is not listed this is half the proof: it may lack the tag that the listing goes by, so it must be
 * looked for by its id as well.
 */
export function hasEnded(options: { seen: SeenInstance | undefined; trace: Trace; now: Instant }): boolean {
  const { seen, trace, now } = options;
  if (seen !== undefined) {
    return seen.state === "terminated" && now >= (seen.launchedAt ?? 0) + listingLagMs;
  }
  return trace.unlistedSince !== null && now >= trace.unlistedSince + listingLagMs;
}

/** What is left of an instance among everything its fleet has: known to be its own, or of its launch and perhaps its own. */
export function leftOf(instanceId: string, trace: Trace, things: readonly SeenThing[]): SeenThing[] {
  return things.filter((thing) => isOwn(instanceId, trace, thing) || isNobodys(trace, thing));
}

/** Known to have been attached to this instance. */
export function isOwn(instanceId: string, trace: Trace, { id, kind, attachedTo }: SeenThing): boolean {
  return attachedTo.includes(instanceId) || knownOf(trace, kind).has(id);
}

/**
 * Of the same launch and attached to nothing: it may be this instance's, if nobody saw what it had while it lived. Else
 * it is a sister's, which answers for it.
 */
function isNobodys(trace: Trace, thing: SeenThing): boolean {
  return thing.loose && trace.launch !== null && thing.launch === trace.launch && knownOf(trace, thing.kind).size === 0;
}

function knownOf({ volumes, interfaces }: Trace, kind: SeenThing["kind"]): ReadonlySet<string> {
  return kind === "volume" ? volumes : interfaces;
}

/**
 * Each thing looked for, and what was seen. Without `things` nobody looked for volumes and interfaces yet: of an instance
 * that has ended they count as there. Of one of which all is known its own things were looked for by their ids alone.
 */
export function absenceChecks(options: {
  instanceId: string;
  ended: boolean;
  /** Whether it was found by its id alone; null where the listing showed its end. */
  lives: boolean | null;
  trace: Trace;
  things: readonly SeenThing[] | null;
}): AbsenceCheck[] {
  const { instanceId, ended, lives, trace, things } = options;
  const checks = [{ what: `instance ${instanceId}`, absent: ended }];
  if (lives !== null) {
    checks.push({ what: `instance ${instanceId} by its id`, absent: !lives });
  }
  if (things === null) {
    return ended ? [...checks, { what: `what instance ${instanceId} had, not looked at yet`, absent: false }] : checks;
  }
  const left = leftOf(instanceId, trace, things);
  for (const kind of ["volume", "network interface"] as const) {
    const known = knownOf(trace, kind);
    const ids = new Set([...known, ...left.filter((thing) => thing.kind === kind).map(({ id }) => id)]);
    if (!trace.isWhole) {
      checks.push({
        what: `${kind}s attached to instance ${instanceId}`,
        absent: !left.some((thing) => thing.kind === kind && thing.attachedTo.includes(instanceId)),
      });
    }
    checks.push(...[...ids].map((id) => ({ what: `${kind} ${id}`, absent: !left.some((thing) => thing.id === id) })));
    if (trace.launch !== null && known.size === 0) {
      checks.push({
        what: `${kind}s of launch ${trace.launch} attached to nothing`,
        absent: !left.some((thing) => thing.kind === kind && isNobodys(trace, thing)),
      });
    }
  }
  return checks;
}
