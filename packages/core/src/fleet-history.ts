import { assertNever } from "./assert.ts";
import type { Instant, MachineId } from "./ids.ts";
import { bootBoundOf, type Launch } from "./launch.ts";
import { limits } from "./limits.ts";
import type { Machine } from "./machine.ts";

/** Launches that failed one after the other, up to now. */
export interface LaunchFailures {
  readonly inARow: number;
  /** When the last of them failed, and how. */
  readonly at: Instant;
  readonly fault: string;
}

const NONE: LaunchFailures = { inARow: 0, at: 0, fault: "" };
const MINUTE_MS = 60_000;
/** What was lacking is asked for again within this time: older words are no news. */
const SHORTFALL_MS = 5 * MINUTE_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Longer than any provider's listing lags behind what it has made: EC2's, a minute. */
const LISTING_LAG_MS = 60_000;

/**
 * How many launches failed in a row since one whose machine came up. A launch fails with a fault, or when every machine of
 * it ended before its agent's first word, or before it served anybody; one that is still booting says nothing, nor does
 * one that was given no capacity. What was launched before a failure was known to be one is the same failure: many
 * launches at once fail of one fault.
 */
export function failuresOf(launches: readonly Launch[], machines: readonly Machine[]): LaunchFailures {
  const records = new Map<MachineId, Machine>(machines.map((machine) => [machine.id, machine]));
  const outcomes = launches.map((launch) => ({ createdAt: launch.createdAt, outcome: outcomeOf(launch, records) }));
  const newest = (outcome: Outcome): Instant =>
    outcomes.reduce((last, one) => (one.outcome === outcome ? Math.max(last, one.createdAt) : last), -Infinity);
  const failed = outcomes.flatMap(({ createdAt, outcome }) =>
    typeof outcome === "object" && outcome !== null ? [{ createdAt, ...outcome }] : [],
  );
  const sinceUp = failed.filter(({ createdAt }) => createdAt > newest("came up"));
  // Where machines boot and end at once, that another has booted proves nothing.
  const row = sinceUp.some(({ fault }) => fault === UNSERVED)
    ? sinceUp
    : sinceUp.filter(({ createdAt }) => createdAt > newest("booted"));
  let failures = NONE;
  let known = -Infinity;
  for (const { createdAt, at, fault } of row.toSorted((a, b) => a.at - b.at)) {
    const isAnother = createdAt > known;
    known = isAnother ? at : known;
    failures = { inARow: failures.inARow + (isAnother ? 1 : 0), at, fault };
  }
  return failures;
}

type Failure = { readonly at: Instant; readonly fault: string };
type Outcome = Failure | "came up" | "booted" | null;

const UNSERVED = "the machine ended before it served anybody";

function outcomeOf(launch: Launch, records: ReadonlyMap<MachineId, Machine>): Outcome {
  if (launch.phase === "intended") {
    return null;
  }
  if (launch.fault !== null) {
    return { at: launch.settledAt, fault: launch.fault };
  }
  const ends = launch.machines.flatMap((id) => {
    const machine = records.get(id);
    return machine === undefined ? [] : [outcomeOfMachine(machine)];
  });
  const best = (["came up", "booted"] as const).find((end) => ends.includes(end));
  return best ?? ends.find((end) => end !== null) ?? null;
}

function outcomeOfMachine(machine: Machine): Outcome {
  switch (machine.phase) {
    case "booting":
      return null;
    case "ready":
      return machine.heardAt - machine.readyAt >= limits.heartbeatLossMs ? "came up" : "booted";
    case "claimed":
      return "came up";
    case "destroying":
      return endOf(machine, machine.since);
    case "gone":
      return endOf(machine, machine.evidence.at);
    default:
      return assertNever(machine);
  }
}

function endOf({ why, claim }: Extract<Machine, { phase: "destroying" | "gone" }>, at: Instant): Outcome {
  switch (why) {
    case "launch_failed":
      return { at, fault: "the machine ended while it booted" };
    case "boot_deadline":
      return { at, fault: "the machine did not boot in time" };
    case "vanished":
    case "silent":
      return claim === null ? { at, fault: UNSERVED } : "came up";
    case "enrolled_twice":
      return null;
    case "taken_back":
      return claim === null ? null : "came up";
    default:
      return "came up";
  }
}

/**
 * What the provider lacked when it was asked last, in our own words: null once it gives all that is asked for again, and
 * after a while. How a launch failed is not among it: that is a provider's own words, and no stranger's business.
 */
export function lastShortfall(launches: readonly Launch[], now: Instant): string | null {
  let last: Extract<Launch, { phase: "settled" }> | null = null;
  for (const launch of launches) {
    if (launch.phase === "settled" && launch.fault === null && launch.settledAt >= (last?.settledAt ?? 0)) {
      last = launch;
    }
  }
  return last !== null && now < last.settledAt + SHORTFALL_MS ? (last.missing[0]?.reason ?? null) : null;
}

/** How long those that are up took to boot, ms, on average; null when none is. */
export function bootMsOf(machines: readonly Machine[]): number | null {
  const times = machines.flatMap((machine) => ("readyAt" in machine ? [machine.readyAt - machine.createdAt] : []));
  return times.length === 0 ? null : times.reduce((sum, time) => sum + time, 0) / times.length;
}

/**
 * Machines of these launches, as they count for the most of an hour: those made; where nobody knows, because a launch is
 * open or ended with a fault, those asked for.
 */
export function launchedIn(launches: readonly Launch[], since: Instant): number {
  return launches
    .filter(({ createdAt }) => createdAt > since)
    .reduce((sum, launch) => sum + (isAnswered(launch) ? launch.machines.length : launch.count), 0);
}

function isAnswered(launch: Launch): boolean {
  return launch.phase === "settled" && launch.fault === null;
}

/** The day in UTC that an instant is in. */
export function dayOf(now: Instant): { readonly from: Instant; readonly to: Instant } {
  const from = Math.floor(now / DAY_MS) * DAY_MS;
  return { from, to: from + DAY_MS };
}

/**
 * Machine time that is charged to this day, ms, in whole minutes of each machine: from the intent of its launch until it is
 * proved gone, and for one that is not, up to its deadline, or to now if it is still there after that.
 *
 * @param now Any moment of the day that is asked for.
 */
export function machineMsOf(launches: readonly Launch[], machines: readonly Machine[], now: Instant): number {
  const day = dayOf(now);
  const within = (from: Instant, to: Instant): number =>
    Math.max(0, Math.ceil((Math.min(to, day.to) - Math.max(from, day.from)) / MINUTE_MS) * MINUTE_MS);
  const ofMachines = machines.reduce(
    (sum, machine) =>
      sum + within(machine.createdAt, machine.phase === "gone" ? machine.evidence.at : Math.max(machine.deadline, now)),
    0,
  );
  const ofLaunches = launches.reduce(
    (sum, launch) => sum + stillMissing(launch, machines) * within(launch.createdAt, launch.deadline),
    0,
  );
  return ofMachines + ofLaunches;
}

/** Machines that an open launch may still bring: those that have no record yet. */
export function stillMissing(launch: Launch, machines: readonly Machine[]): number {
  return launch.phase === "settled" ? 0 : unrecorded(launch, machines);
}

/**
 * Machines that a launch may have made though it was settled because nobody answered in time: until the provider's listing
 * must show them, they are counted as if they were there.
 */
export function perhapsMade(launch: Launch, machines: readonly Machine[], now: Instant): number {
  const isUnanswered =
    launch.phase === "settled" && launch.fault !== null && launch.settledAt >= launch.createdAt + bootBoundOf(launch);
  return isUnanswered && now <= launch.settledAt + LISTING_LAG_MS ? unrecorded(launch, machines) : 0;
}

function unrecorded({ id, count }: Launch, machines: readonly Machine[]): number {
  return Math.max(0, count - machines.filter(({ launch }) => launch === id).length);
}
