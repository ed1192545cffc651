import { isAppError, type Launch, type LaunchId, type Provider, recordMachine, type Clock } from "@mayfly/core";
import type { Store, Wakeups } from "@mayfly/core";
import type { Logger } from "pino";
import type { Records } from "../runs/records.ts";
import { singleFlight } from "../runs/single-flight.ts";

/** A provider that does not answer is asked again this soon; it keeps its own pace besides. */
const RETRY_MS = 2_000;

/** Takes one launch as far as it can go now. */
export interface LaunchSteps {
  /** Idempotent; act on present truth. At most one at a time for each launch in this process. */
  stepLaunch(id: LaunchId): Promise<void>;
}

export interface LaunchStepsDeps {
  readonly store: Store;
  readonly records: Records;
  readonly provider: Provider;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Asks the provider for what a launch says, writes a record for every machine it names, and settles the launch. A crash
 * anywhere between is repeated without harm: the provider answers the same machines, and a record that is there stays.
 */
export function createLaunchSteps(deps: LaunchStepsDeps): LaunchSteps {
  const unanswered = createUnanswered(deps.clock);
  return { stepLaunch: singleFlight((id) => stepOnce(deps, unanswered, id)) };
}

/** Launches that a provider was asked for a moment ago and did not answer, whoever wakes their steps meanwhile. */
interface Unanswered {
  add(id: LaunchId): void;
  has(id: LaunchId): boolean;
}

function createUnanswered(clock: Clock): Unanswered {
  const askedAt = new Map<LaunchId, number>();
  // A clock that was set back holds up no launch.
  const isRecent = (at: number) => Math.abs(clock.now() - at) < RETRY_MS;
  return {
    add(id) {
      for (const [other, at] of askedAt) {
        if (!isRecent(at)) {
          askedAt.delete(other);
        }
      }
      askedAt.set(id, clock.now());
    },
    has(id) {
      const at = askedAt.get(id);
      return at !== undefined && isRecent(at);
    },
  };
}

async function stepOnce(deps: LaunchStepsDeps, unanswered: Unanswered, id: LaunchId): Promise<void> {
  const { records, provider, log } = deps;
  const { launch, effects } = await records.applyToLaunch(id, { type: "tick" });
  if (effects.length === 0 || unanswered.has(id)) {
    return;
  }
  try {
    const { machines, missing } = await provider.ensureLaunched(launch);
    await Promise.all(machines.map((machine) => ensureRecorded(deps, launch, machine)));
    await records.applyToLaunch(id, { type: "launched", machines, missing });
    if (missing.length > 0) {
      log.warn({ launch: id, machines: machines.length, missing }, "not all machines of a launch were given");
    }
  } catch (error) {
    if (isAppError(error) && error.retryable && error.code !== "MACHINE_LAUNCH_FAILED") {
      // What holds all launches up is said once, by who learns of it.
      const level = (provider.heldUp?.() ?? null) === null ? "warn" : "debug";
      log[level]({ launch: id, err: error }, "nobody knows yet what came of a launch");
      unanswered.add(id);
      await deps.wakeups.wakeLaunch(id, RETRY_MS);
      return;
    }
    log.warn({ launch: id, err: error }, "a launch came to nothing");
    await records.applyToLaunch(id, { type: "failed", reason: isAppError(error) ? error.message : String(error) });
  }
}

async function ensureRecorded(
  { store, wakeups, clock }: LaunchStepsDeps,
  launch: Launch,
  id: Launch["machines"][number],
): Promise<void> {
  const value = recordMachine({ id, launch, now: clock.now() });
  // A conflict says that it is there already.
  await store.commit([{ kind: "machine", value, version: 0 }]);
  await wakeups.wakeMachine(id);
}
