import { assertNever } from "./assert.ts";
import type { Digest, Instant, LaunchId, MachineId } from "./ids.ts";
import { limits } from "./limits.ts";
import type { Acceleration } from "./machine.ts";

/** What a launch plan may hold: plain JSON. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/**
 * What a provider asks for, in words of its own: written down with the intent and replayed word for word, so that a
 * repeated launch is the same request. At most limits.launchPlanCharsMax as JSON.
 */
export type LaunchPlan = Readonly<Record<string, JsonValue>>;

/** Machines that were asked for and not given. */
export interface Shortfall {
  readonly count: number;
  /** One line that a person reads: "no capacity for m7i.large in zone a". */
  readonly reason: string;
}

interface LaunchBase {
  readonly schema: 1;
  readonly id: LaunchId;
  readonly provider: string;
  readonly acceleration: Acceleration;
  readonly image: Digest;
  /** What its machines are made of: image, agent, size. A pool whose machines are made of something else is drained. */
  readonly spec: Digest;
  /** From 1 to the provider's launchCountMax. */
  readonly count: number;
  readonly plan: LaunchPlan;
  /** How long its machines may take to boot, ms, and it to be settled; absent in older records: limits.bootMs. */
  readonly bootMs?: number;
  /** The provider may take its machines back at any time: spot. */
  readonly interruptible?: true;
  readonly createdAt: Instant;
  /** Its machines': they end by themselves then (I2). */
  readonly deadline: Instant;
}

/** So many machines asked of a provider in one call; written down before it is asked (I2). */
export type Launch = LaunchBase &
  (
    | { readonly phase: "intended"; readonly machines: readonly []; readonly missing: readonly [] }
    | {
        readonly phase: "settled";
        readonly settledAt: Instant;
        readonly machines: readonly MachineId[];
        readonly missing: readonly Shortfall[];
        /** What went wrong, in words; null when the provider answered, even with nothing. */
        readonly fault: string | null;
      }
  );

export type LaunchEvent =
  /** Time has passed, or a step was interrupted: look again. */
  | { readonly type: "tick" }
  /** The provider answered, and every machine it named has its record. */
  | { readonly type: "launched"; readonly machines: readonly MachineId[]; readonly missing: readonly Shortfall[] }
  /** It came to nothing. */
  | { readonly type: "failed"; readonly reason: string };

/** What the shell must bring about; safe to repeat. */
export type LaunchEffect = { readonly type: "launch" };

export interface LaunchDecision {
  readonly launch: Launch;
  readonly effects: readonly LaunchEffect[];
}

/** A launch that is only written down yet: the intent comes before the call (I2). */
export function intendLaunch(options: {
  id: LaunchId;
  provider: { name: string; acceleration: Acceleration; image: Digest; spec: Digest; bootMs?: number };
  count: number;
  plan: LaunchPlan;
  interruptible?: boolean;
  now: Instant;
  /** Longest run the operator allows, ms: the machines' hard deadline follows from it. */
  runMsMax: number;
}): Launch {
  const { id, provider, count, plan, now, runMsMax } = options;
  const { name, acceleration, image, spec, bootMs } = provider;
  assertSmall(plan);
  return {
    schema: 1,
    id,
    provider: name,
    acceleration,
    image,
    spec,
    count,
    plan,
    ...(options.interruptible === true ? { interruptible: true } : {}),
    createdAt: now,
    ...(bootMs === undefined ? {} : { bootMs }),
    deadline: now + machineLifeMs(runMsMax, bootMs),
    phase: "intended",
    machines: [],
    missing: [],
  };
}

/** From the intent of a launch to its machines' deadline, ms: asking, booting, waiting, the longest run, its result. */
export function machineLifeMs(runMsMax: number, bootMs: number = limits.bootMs): number {
  return bootMs + bootMs + limits.idleMachineMs + runMsMax + limits.resultMs + limits.machineGraceMs;
}

/** How long machines of this launch may take to boot, ms; it has as long to be settled. */
export function bootBoundOf({ bootMs = limits.bootMs }: Pick<Launch, "bootMs">): number {
  return bootMs;
}

/**
 * The launch's life: intended → settled. Pure; a settled launch never changes. One that nobody could settle within the
 * time to boot came to nothing: what it may have made is then nobody's, and destroyed.
 */
export function decideLaunch(launch: Launch, event: LaunchEvent, now: Instant): LaunchDecision {
  const next = step(overdue(launch, now), event, now);
  return { launch: next, effects: next.phase === "intended" ? [{ type: "launch" }] : [] };
}

function step(launch: Launch, event: LaunchEvent, now: Instant): Launch {
  if (launch.phase === "settled") {
    return launch;
  }
  switch (event.type) {
    case "tick":
      return launch;
    case "launched":
      return {
        ...launch,
        phase: "settled",
        settledAt: now,
        machines: event.machines,
        missing: event.missing,
        fault: null,
      };
    case "failed":
      return cameToNothing(launch, event.reason, now);
    default:
      return assertNever(event);
  }
}

function overdue(launch: Launch, now: Instant): Launch {
  return launch.phase === "intended" && now >= launch.createdAt + bootBoundOf(launch)
    ? cameToNothing(launch, "the provider did not answer in time", now)
    : launch;
}

function cameToNothing(launch: Launch, reason: string, now: Instant): Launch {
  const missing = [{ count: launch.count, reason }];
  return { ...launch, phase: "settled", settledAt: now, machines: [], missing, fault: reason };
}

/** A provider's plan is short by its making; one that is not is a bug. */
function assertSmall(plan: LaunchPlan): void {
  if (JSON.stringify(plan).length > limits.launchPlanCharsMax) {
    throw new RangeError(`a launch plan has at most ${limits.launchPlanCharsMax} characters`);
  }
}
