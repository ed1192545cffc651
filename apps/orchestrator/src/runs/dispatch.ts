import { createHash } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import {
  type Assignment,
  type Clock,
  decideMachine,
  decideRun,
  type Ending,
  type Ids,
  isAppError,
  isClaimedBy,
  lineUp,
  type MachineId,
  mayServe,
  type Run,
  type RunId,
  type Store,
  tenantOf,
  type TenantRecord,
  type Wakeups,
  type Write,
  offersPatch,
} from "@mayfly/core";
import type { Logger } from "pino";
import { isFinal } from "../github/app.ts";
import { asAnswered } from "./as-answered.ts";
import type { RecheckRun } from "./recheck-run.ts";
import type { Records } from "./records.ts";
import { createSeldom } from "./seldom.ts";

/** Runs looked at for one claim: more than may be withdrawn at the same moment. */
const CANDIDATES_MAX = 20;
/**
 * From the question to the last moment at which a claim may be written: whoever asked waits a little longer, and a claim
 * whose answer nobody hears costs the machine.
 */
export const CLAIM_MS = 50_000;
/** GitHub usually answers within one: a run about which it takes longer does not keep the next in line waiting. */
const PATIENCE_MS = 3_000;
/** A machine waits no longer for slow answers: another run may have come meanwhile. */
const LOOKS_MS = 30_000;
/** A run that GitHub said nothing about is passed over for so long, and then is asked about in its old place again. */
const HELD_MS = 5_000;
/** Idle machines ask several times a second, each: they share a reading of who waits, which is no older than this. */
const LINE_MS = 200;
/** How long a stop waits for a claim that is being written: Redis answers in milliseconds, or hangs. */
const CLOSE_MS = 5_000;
/** Claims of one tenant at the same moment, in all processes: each try that fails was another's success. */
const TRIES_MAX = 50;

export interface DispatchDeps {
  readonly store: Store;
  readonly records: Records;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly recheck: RecheckRun;
  /** Machines of one GitHub installation at once; null for no limit. */
  readonly perInstallationMax: number | null;
  /** How long one run's look at GitHub keeps the next in line waiting, ms; absent for what is usual. */
  readonly patienceMs?: number;
  /** How long a stop waits for a claim that is being written, ms; absent for what is usual. */
  readonly closeMs?: number;
  readonly log?: Pick<Logger, "warn">;
}

/** Gives waiting runs to waiting machines. */
export interface Dispatch {
  /**
   * The attempt this machine shall serve, or null while there is none. A machine gets one at most (I1): the machine's
   * claim and the run's are written together or not at all.
   */
  claim(machine: MachineId): Promise<Assignment | null>;
}

/** One that can be told to give out nothing more. */
export interface ClosableDispatch extends Dispatch {
  /**
   * From now on every claim is null, and nothing of it is written: who is told nothing asks again, and another service
   * answers. Resolves once what is being written this moment is, and after 5 s whether it is or not. Idempotent.
   */
  close(): Promise<void>;
}

export function createDispatch(deps: DispatchDeps): ClosableDispatch {
  const { store, records, wakeups, clock, ids, patienceMs = PATIENCE_MS, closeMs = CLOSE_MS } = deps;
  const inTurn = createTurns();
  const holds = createHolds(clock);
  const maySay = createSeldom(clock);
  let isClosing = false;

  /** Without those that are passed over, so that they take no place from others of their installation either. */
  async function line(): Promise<readonly Run[]> {
    const runs = (await store.listLiveRuns()).filter(({ id, phase }) => phase !== "queued" || !holds.isHeld(id));
    return lineUp(runs, deps.perInstallationMax).next;
  }

  /** Who may be looked at. What is then given out is decided by a reading of its own. */
  const recentLine = createBriefReading(line, clock);

  /** Whether the run may go on, as GitHub sees it now. One that GitHub says nothing about is passed over for a while. */
  async function mayGoOn(run: Run): Promise<boolean> {
    try {
      const ending = await deps.recheck(run).catch(endingWhenRefused);
      holds.release(run.id);
      if (ending === null) {
        return true;
      }
      await records.applyToRun(run.id, { type: "end", ending });
      recentLine.forget();
      await wakeups.wakeRun(run.id);
    } catch (err) {
      if (!isAppError(err) || err.code === "STORE_UNAVAILABLE") {
        throw err;
      }
      holds.hold(run.id, HELD_MS);
      recentLine.forget();
      if (maySay(run.id)) {
        deps.log?.warn({ run: run.id, err }, "a run that waits could not be looked at again; others go first");
      }
    }
    return false;
  }

  /** One claim at a time here, so that those of one process do not beat each other to it. */
  async function write(run: Run, machineId: MachineId, until: number): Promise<Assignment | null> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const outcome = await tryWrite(run, machineId, until);
      if (outcome !== "conflict") {
        return outcome;
      }
    }
    return null;
  }

  async function tryWrite(run: Run, machineId: MachineId, until: number): Promise<Assignment | "conflict" | null> {
    // Read before the others' machines are counted: whoever claims after that makes this claim a conflict.
    const counted = deps.perInstallationMax === null ? [] : [await tenantWrite(run)];
    if (deps.perInstallationMax !== null && !(await line()).some(({ id }) => id === run.id)) {
      return null;
    }
    const [foundRun, foundMachine] = await Promise.all([store.loadRun(run.id), store.loadMachine(machineId)]);
    // Another machine may have been faster: what does not wait any more is not given out.
    if (foundRun?.value.phase !== "queued" || foundMachine === null || !mayServe(foundMachine.value, foundRun.value)) {
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
    // At the last moment: its answer would come from a service that is gone, and the machine would be spent.
    if (isClosing) {
      return null;
    }
    const done = await store.commit([
      { kind: "run", value: decidedRun, version: foundRun.version },
      { kind: "machine", value: decidedMachine, version: foundMachine.version },
      ...counted,
    ]);
    recentLine.forget();
    if (done === "conflict") {
      return "conflict";
    }
    await wakeups.wakeRun(run.id);
    return assignmentOf(decidedRun, capability, now);
  }

  async function tenantWrite(run: Run): Promise<Write> {
    const id = String(tenantOf(run));
    const before = await store.loadTenant(id);
    const now = clock.now();
    const createdAt = before?.value.createdAt ?? now;
    const value: TenantRecord = { schema: 1, id, createdAt, claimedAt: now };
    return { kind: "tenant", value, version: before?.version ?? 0 };
  }

  return {
    async claim(machineId) {
      const until = clock.now() + CLAIM_MS;
      const machine = (await store.loadMachine(machineId))?.value;
      const fits = (run: Run) => machine !== undefined && mayServe(machine, run);
      const waiting = (await recentLine.read()).filter(
        (run) => run.phase === "queued" && run.source !== null && fits(run),
      );
      const looks = asAnswered({
        items: waiting.slice(0, CANDIDATES_MAX),
        ask: mayGoOn,
        patienceMs,
        mostMs: LOOKS_MS,
        onSlow(run) {
          holds.hold(run.id, CLAIM_MS);
          recentLine.forget();
        },
      });
      for await (const { item: run, answer } of looks) {
        if (isClosing) {
          return null;
        }
        const assignment = answer ? await inTurn(() => write(run, machineId, until)) : null;
        if (assignment !== null) {
          return assignment;
        }
      }
      return null;
    },
    async close() {
      isClosing = true;
      const end = new AbortController();
      const timeUp = setTimeout(closeMs, undefined, { signal: end.signal }).catch(() => undefined);
      await Promise.race([inTurn(async () => undefined), timeUp]);
      end.abort();
    },
  };
}

/** One reading for all who ask at about the same time. Throws what the reading throws; that one is not kept. */
function createBriefReading<Value>(read: () => Promise<Value>, clock: Clock) {
  let last: { readonly at: number; readonly value: Promise<Value> } | null = null;
  return {
    forget: () => void (last = null),
    read(): Promise<Value> {
      const now = clock.now();
      // A clock that was set back keeps no reading for longer.
      if (last !== null && Math.abs(now - last.at) < LINE_MS) {
        return last.value;
      }
      const mine = { at: now, value: read() };
      last = mine;
      mine.value.catch(() => (last = last === mine ? null : last));
      return mine.value;
    },
  };
}

/** Runs that are passed over for a while. */
function createHolds(clock: Clock) {
  const until = new Map<RunId, number>();
  // A clock that was set back holds nobody for longer.
  const isHeld = (at: number | undefined) => at !== undefined && at > clock.now() && at <= clock.now() + CLAIM_MS;
  return {
    isHeld: (id: RunId) => isHeld(until.get(id)),
    release: (id: RunId) => void until.delete(id),
    hold(id: RunId, ms: number) {
      for (const [other, at] of until) {
        if (!isHeld(at)) {
          until.delete(other);
        }
      }
      until.set(id, clock.now() + ms);
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
    ...(task.setup === undefined ? {} : { setup: [...task.setup] }),
    ...(task.setup === undefined || task.network === undefined ? {} : { network: [...task.network] }),
    ...(offersPatch(task) ? { collect_changes: true as const } : {}),
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
