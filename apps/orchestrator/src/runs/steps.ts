import {
  assertNever,
  isAppError,
  limits,
  type Clock,
  type Ending,
  type Run,
  type RunEffect,
  type RunEvent,
  type RunId,
  type Sources,
  type Wakeups,
} from "@mayfly/core";
import type { Logger } from "pino";
import { askedPauseMs } from "../github/app.ts";
import type { Publisher } from "../publish/publisher.ts";
import { createPauses, type Pauses } from "./pauses.ts";
import type { Records } from "./records.ts";
import { createSeldom } from "./seldom.ts";
import { singleFlight } from "./single-flight.ts";

/** A chain of effects ends by itself; one that does not is a bug, and waits for the next wake-up. */
const ROUNDS_MAX = 10;
export interface RunStepsDeps {
  readonly records: Records;
  readonly sources: Sources;
  readonly publisher: Publisher;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  readonly log: Logger;
  /** Puts the patch of a published run on its branch where the task does so by itself. Idempotent. */
  readonly settlePatch: (run: Run) => Promise<void>;
  /** Writes the receipt of a finished run. */
  readonly storeReceipt: (run: Run) => Promise<void>;
}

/** Takes one run as far as it can go now. */
export interface RunSteps {
  /** Idempotent; act on present truth. At most one at a time for each run in this process. */
  stepRun(id: RunId): Promise<void>;
}

/**
 * Brings about what runs need: asks the state machine what is due, does it, feeds the answer back as an event. A step
 * that fails is taken again later; a crash in between changes nothing, since every effect is safe to repeat.
 */
export function createRunSteps(deps: RunStepsDeps): RunSteps {
  const maySay = createSeldom(deps.clock);
  const pauses = createPauses(deps.clock);
  return { stepRun: singleFlight((id) => stepOnce({ ...deps, maySay, pauses }, id)) };
}

/** With whether something that lasts may be said in the log now, and what is left alone for a while. */
type StepDeps = RunStepsDeps & { readonly maySay: (what: string) => boolean; readonly pauses: Pauses };

async function stepOnce(deps: StepDeps, id: RunId): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const { run, effects } = await deps.records.applyToRun(id, { type: "tick" });
    // Side by side: that a run was seen is shown while its source is fetched.
    const hasMoved = await Promise.all(effects.map((effect) => bringAbout(deps, run, effect)));
    if (!hasMoved.includes(true)) {
      return;
    }
  }
}

/** What comes of an effect is on record at once: a run does not wait for its words on GitHub. True if anything did. */
async function bringAbout(deps: StepDeps, run: Run, effect: RunEffect): Promise<boolean> {
  const events = await tryToPerform(deps, run, effect);
  for (const event of events) {
    await deps.records.applyToRun(run.id, event);
  }
  return events.length > 0;
}

/** An effect that failed is left alone for a while, whoever wakes the run: each try of a publication is many requests. */
async function tryToPerform(deps: StepDeps, run: Run, effect: RunEffect): Promise<RunEvent[]> {
  const { pauses, clock } = deps;
  const what = `${run.id} ${effect.type}`;
  if (pauses.holds(what)) {
    return [];
  }
  try {
    const events = await perform(deps, run, effect);
    pauses.succeeded(what);
    return events;
  } catch (error) {
    if (deps.maySay(`${what} ${isAppError(error) ? error.code : ""}`)) {
      deps.log.warn({ run: run.id, effect: effect.type, err: error }, "a step of a run failed");
    }
    const events = whenFailed(clock.now(), run, effect, error);
    if (events.length === 0) {
      await deps.wakeups.wakeRun(run.id, pauses.failed(what, askedPauseMs(error, clock.now())));
    }
    return events;
  }
}

async function perform(deps: StepDeps, run: Run, effect: RunEffect): Promise<RunEvent[]> {
  switch (effect.type) {
    case "prepare_source":
      return [{ type: "source_prepared", layout: await deps.sources.ensurePacked(run) }];
    case "show_progress":
      await deps.publisher.ensureProgress(run);
      return [];
    case "destroy_machine":
      await deps.records.applyToMachine(effect.machine, { type: "destroy", why: "attempt_ended" });
      await deps.wakeups.wakeMachine(effect.machine);
      return [];
    case "publish":
      return [await deps.publisher.publish(run)];
    case "archive":
      await deps.publisher.cleanUp(run);
      await deps.settlePatch(run);
      await deps.storeReceipt(run);
      await deps.sources.ensureDropped(run.id);
      return [{ type: "archived" }];
    default:
      return assertNever(effect);
  }
}

/** What a failed step means: usually to try again later, and at some point to say so. */
function whenFailed(now: number, run: Run, effect: RunEffect, error: unknown): RunEvent[] {
  const permanent = isAppError(error) && !error.retryable;
  const detail = isAppError(error) ? error.message : "an unexpected fault; the operator finds it in the log";
  switch (effect.type) {
    case "prepare_source": {
      const code: Ending["code"] = isAppError(error, "SOURCE_TOO_BIG") ? "source_too_big" : "source_failed";
      const overdue = now > run.createdAt + limits.gitMs;
      return permanent || overdue ? [{ type: "stopped", ending: { outcome: "failed", code, detail } }] : [];
    }
    case "publish": {
      const overdue = run.phase === "publishing" && now > run.since + limits.publishMs;
      const nowhere: RunEvent = {
        type: "published",
        publication: { kind: "none", url: null, commentId: null, checkRunId: null },
      };
      if (!permanent && !overdue) {
        return [];
      }
      // That nothing can be put on GitHub is what this ending says already.
      const isKnown = "ending" in run && run.ending.code === "installation_gone";
      const failed: Ending = { outcome: "failed", code: "publish_failed", detail };
      return isKnown ? [nowhere] : [{ type: "ending_changed", ending: failed }, nowhere];
    }
    case "show_progress":
    case "destroy_machine":
    case "archive":
      return [];
    default:
      return assertNever(effect);
  }
}
