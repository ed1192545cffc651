import { createHash } from "node:crypto";
import {
  type Assignment,
  type Clock,
  decideMachine,
  decideRun,
  type Ending,
  type Ids,
  isClaimedBy,
  lineUp,
  type MachineId,
  type Run,
  type Store,
  type Wakeups,
} from "@mayfly/core";
import { isFinal } from "../github/app.ts";
import type { RecheckRun } from "./recheck-run.ts";
import type { Records } from "./records.ts";

/** Runs looked at for one claim: more than may be withdrawn at the same moment. */
const CANDIDATES_MAX = 20;
/**
 * From the question to the last moment at which a claim may be written: whoever asked waits a little longer, and a claim
 * whose answer nobody hears costs the machine.
 */
export const CLAIM_MS = 50_000;

export interface DispatchDeps {
  readonly store: Store;
  readonly records: Records;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly recheck: RecheckRun;
  /** Machines of one GitHub installation at once; null for no limit. */
  readonly perInstallationMax: number | null;
}

/** Gives waiting runs to waiting machines. */
export interface Dispatch {
  /**
   * The attempt this machine shall serve, or null while there is none. A machine gets one at most (I1): the machine's
   * claim and the run's are written together or not at all.
   */
  claim(machine: MachineId): Promise<Assignment | null>;
}

export function createDispatch(deps: DispatchDeps): Dispatch {
  const { store, records, wakeups, clock, ids } = deps;
  const inTurn = createTurns();

  async function line(): Promise<readonly Run[]> {
    return lineUp(await store.listLiveRuns(), deps.perInstallationMax).next;
  }

  async function tryRun(run: Run, machineId: MachineId, until: number): Promise<Assignment | null> {
    const ending = await deps.recheck(run).catch(endingWhenRefused);
    if (ending !== null) {
      await records.applyToRun(run.id, { type: "end", ending });
      await wakeups.wakeRun(run.id);
      return null;
    }
    return inTurn(() => write(run, machineId, until));
  }

  /** One claim at a time, so that each counts those before it. */
  async function write(run: Run, machineId: MachineId, until: number): Promise<Assignment | null> {
    if (deps.perInstallationMax !== null && !(await line()).some(({ id }) => id === run.id)) {
      return null;
    }
    const [foundRun, foundMachine] = await Promise.all([store.loadRun(run.id), store.loadMachine(machineId)]);
    // Another machine may have been faster: what does not wait any more is not given out.
    if (foundRun?.value.phase !== "queued" || foundMachine === null) {
      return null;
    }
    const now = clock.now();
    if (now > until) {
      return null;
    }
    const capability = ids.secret("mfc");
    const claim = { run: run.id, epoch: foundRun.value.epoch + 1 };
    const decidedMachine = decideMachine(foundMachine.value, { type: "claim", claim }, now).machine;
    const decidedRun = decideRun(
      foundRun.value,
      { type: "claimed", machine: machineId, capabilityHash: hashOf(capability) },
      now,
    ).run;
    if (!isClaimedBy(decidedMachine, claim) || decidedRun.phase !== "running") {
      return null;
    }
    const done = await store.commit([
      { kind: "run", value: decidedRun, version: foundRun.version },
      { kind: "machine", value: decidedMachine, version: foundMachine.version },
    ]);
    if (done === "conflict") {
      return null;
    }
    await wakeups.wakeRun(run.id);
    return assignmentOf(decidedRun, capability, now);
  }

  return {
    async claim(machineId) {
      const until = clock.now() + CLAIM_MS;
      const waiting = (await line()).filter((run) => run.phase === "queued" && run.source !== null);
      for (const run of waiting.slice(0, CANDIDATES_MAX)) {
        const assignment = await tryRun(run, machineId, until);
        if (assignment !== null) {
          return assignment;
        }
      }
      return null;
    },
  };
}

/** Does one thing after the other, in the order asked. */
export function createTurns(): <Value>(work: () => Promise<Value>) => Promise<Value> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => null);
    return mine;
  };
}

/** A run that GitHub says nothing about any more ends, and does not hold up the others. What may pass is thrown on. */
function endingWhenRefused(error: unknown): Ending {
  if (!isFinal(error)) {
    throw error;
  }
  const detail = `the pull request could not be looked at again: ${error.message}`;
  return { outcome: "failed", code: "source_failed", detail };
}

/** What is stored of a capability or key: never the thing itself. */
export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

function assignmentOf(run: Run & { phase: "running" }, capability: string, now: number): Assignment {
  const { task, prompt } = run.request;
  return {
    run: run.id,
    epoch: run.attempt.epoch,
    capability,
    seconds: Math.max(1, Math.floor((run.attempt.deadline - now) / 1000)),
    source: run.source,
    codex: {
      prompt,
      model: task.model,
      effort: task.effort,
      sandbox: task.sandbox,
      safety_strategy: task.safetyStrategy,
      working_directory: task.workingDirectory,
      output_schema: task.outputSchema,
      args: [...task.codexArgs],
    },
  };
}
