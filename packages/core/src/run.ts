import { assertNever } from "./assert.ts";
import type { Digest, Instant, MachineId, RunId } from "./ids.ts";
import { limits } from "./limits.ts";
import type { Evidence } from "./machine.ts";
import type { GateReport, ResultFrame, SourceLayout } from "./protocol.ts";
import type { RunRequest } from "./run-request.ts";
import { endingOf, type Ending } from "./ending.ts";

/** What is stored of a key: never the key itself. */
interface KeyRecord {
  readonly hash: string;
  readonly expiresAt: Instant;
}

/** One try of a run on one machine; the epoch fences it from the others. */
export interface Attempt {
  readonly epoch: number;
  readonly machine: MachineId;
  readonly claimedAt: Instant;
  /** When Codex must have ended. */
  readonly deadline: Instant;
  /** SHA-256 of the capability: the capability itself is nowhere but in the machine. */
  readonly capabilityHash: string;
  readonly gate: GateReport | null;
  readonly key: KeyRecord | null;
  /** The one before it, good for the rest of its own time: a model call may be under way while the key is renewed. */
  readonly keyBefore: KeyRecord | null;
  /** Capability and key are dead from here on; only the result may still come (I4). */
  readonly frozenAt: Instant | null;
}

/** The moments a person sees, in the order they usually come. */
export const steps = [
  "requested",
  "queued",
  "claimed",
  "source_ready",
  "strategy_applied",
  "key_lent",
  "codex_started",
  "codex_exited",
  "key_dead",
  "result_posted",
  "machine_gone",
  "published",
] as const;
export type Step = (typeof steps)[number];

/** When each step of the present attempt happened. */
export type Times = Readonly<Partial<Record<Step, Instant>>>;

/** Where the result stands on GitHub. */
export interface Publication {
  readonly kind: "comment" | "check" | "none";
  readonly url: string | null;
  readonly commentId: number | null;
  readonly checkRunId: number | null;
}

/** A machine that served this run and is proved gone. */
export interface GoneMachine {
  readonly machine: MachineId;
  readonly epoch: number;
  readonly evidence: Evidence;
}

interface RunBase {
  readonly schema: 1;
  readonly id: RunId;
  readonly request: RunRequest;
  readonly createdAt: Instant;
  /** Attempts begun so far. */
  readonly epoch: number;
  readonly times: Times;
  readonly gone: readonly GoneMachine[];
  /** Model calls the broker made for this run, over all attempts. */
  readonly modelCalls: number;
}

export type Run = RunBase &
  (
    | {
        readonly phase: "queued";
        readonly since: Instant;
        readonly source: SourceLayout | null;
        /** What it waits for, in our own words. */
        readonly waitingFor: string;
      }
    | { readonly phase: "running"; readonly source: SourceLayout; readonly attempt: Attempt }
    | {
        readonly phase: "destroying";
        readonly source: SourceLayout;
        readonly attempt: Attempt;
        readonly ending: Ending;
        readonly resultDigest: Digest | null;
      }
    | {
        readonly phase: "publishing";
        readonly since: Instant;
        readonly attempt: Attempt | null;
        readonly ending: Ending;
        readonly resultDigest: Digest | null;
      }
    | {
        readonly phase: "done";
        readonly attempt: Attempt | null;
        readonly ending: Ending;
        readonly resultDigest: Digest | null;
        readonly publication: Publication;
        readonly endedAt: Instant;
        readonly archived: boolean;
      }
  );

/**
 * The machine whose channel an event came over. An event is applied some time after its sender was checked, and by then
 * the run may be on its next machine: named here, it counts for that machine's attempt and for no other.
 */
interface FromMachine {
  readonly machine: MachineId;
}

export type RunEvent =
  | { readonly type: "tick" }
  | { readonly type: "source_prepared"; readonly layout: SourceLayout }
  | { readonly type: "waiting"; readonly reason: string }
  /** The run cannot or may not go on, and no machine is at work for it. */
  | { readonly type: "stopped"; readonly ending: Ending }
  | {
      readonly type: "claimed";
      readonly machine: MachineId;
      readonly capabilityHash: string;
    }
  | (FromMachine & { readonly type: "step"; readonly step: "source_ready" | "codex_started" | "codex_exited" })
  | (FromMachine & { readonly type: "gate_passed"; readonly report: GateReport })
  | (FromMachine & { readonly type: "key_lent"; readonly hash: string })
  | (FromMachine & { readonly type: "model_called" })
  | (FromMachine & { readonly type: "frozen" })
  /** Counts for the epoch in its frame alone. */
  | (FromMachine & { readonly type: "result"; readonly frame: ResultFrame; readonly digest: Digest })
  | { readonly type: "machine_lost"; readonly machine: MachineId; readonly why: string }
  | { readonly type: "machine_gone"; readonly machine: MachineId; readonly evidence: Evidence }
  /** A person, a push or an operator ends it. */
  | { readonly type: "end"; readonly ending: Ending }
  /** What must hold at publication no longer does, or the result may not be shown. */
  | { readonly type: "ending_changed"; readonly ending: Ending }
  | { readonly type: "published"; readonly publication: Publication }
  | { readonly type: "archived" };

/** What the shell must bring about. Each is safe to repeat. */
export type RunEffect =
  | { readonly type: "prepare_source" }
  | { readonly type: "show_progress" }
  | { readonly type: "destroy_machine"; readonly machine: MachineId }
  | { readonly type: "publish" }
  | { readonly type: "archive" };

export interface RunDecision {
  readonly run: Run;
  readonly effects: readonly RunEffect[];
}

/** A run as its trigger asked for it. */
export function requestRun(options: { id: RunId; request: RunRequest; now: Instant }): Run {
  const { id, request, now } = options;
  return {
    ...emptyBase(id, request, now),
    times: { requested: request.requestedAt, queued: now },
    phase: "queued",
    since: now,
    source: null,
    waitingFor: "the source",
  };
}

/** A run that policy refused: it never waits for a machine, but it ends as visibly as any other (I7). */
export function refuseRun(options: { id: RunId; request: RunRequest; ending: Ending; now: Instant }): Run {
  const { id, request, ending, now } = options;
  return {
    ...emptyBase(id, request, now),
    times: { requested: request.requestedAt },
    phase: "publishing",
    since: now,
    attempt: null,
    ending,
    resultDigest: null,
  };
}

/**
 * The run's life: queued → running → destroying → publishing → done; a lost attempt goes from destroying back to queued
 * while attempts are left. Pure; an event that does not fit changes nothing. Effects follow from the phase alone, so a
 * `tick` after a crash asks again for whatever was interrupted.
 */
export function decideRun(run: Run, event: RunEvent, now: Instant): RunDecision {
  const next = step(overdue(run, now), event, now);
  return { run: next, effects: effectsOf(next) };
}

/** True while the attempt's capability (and key, if lent) is alive: the broker asks before every answer (I4). */
export function isAlive(run: Run, machine: MachineId, now: Instant): boolean {
  return (
    run.phase === "running" &&
    run.attempt.machine === machine &&
    run.attempt.frozenAt === null &&
    now < run.attempt.deadline + CODEX_END_MS
  );
}

/** From the deadline until the agent must have ended Codex, frozen, and begun to post; then it is destroyed. */
const CODEX_END_MS = 20_000;

function step(run: Run, event: RunEvent, now: Instant): Run {
  switch (run.phase) {
    case "queued":
      return whenQueued(run, event, now);
    case "running":
      return whenRunning(run, event, now);
    case "destroying":
      return whenDestroying(run, event, now);
    case "publishing":
      return whenPublishing(run, event, now);
    case "done":
      return event.type === "archived" && !run.archived ? { ...run, archived: true } : run;
    default:
      return assertNever(run);
  }
}

function whenQueued(run: Run & { phase: "queued" }, event: RunEvent, now: Instant): Run {
  switch (event.type) {
    case "source_prepared":
      return { ...run, source: event.layout, waitingFor: "a machine" };
    case "waiting":
      return { ...run, waitingFor: event.reason };
    case "stopped":
    case "end":
      return publishing(run, { ending: event.ending, attempt: null, resultDigest: null }, now);
    case "claimed":
      return run.source === null ? run : running(run, run.source, event, now);
    default:
      return run;
  }
}

function running(
  run: Run,
  source: SourceLayout,
  event: { machine: MachineId; capabilityHash: string },
  now: Instant,
): Run {
  const attempt: Attempt = {
    epoch: run.epoch + 1,
    machine: event.machine,
    claimedAt: now,
    deadline: now + run.request.task.timeoutMs,
    capabilityHash: event.capabilityHash,
    gate: null,
    key: null,
    keyBefore: null,
    frozenAt: null,
  };
  const { requested, queued } = run.times;
  const times: Times = {
    ...(requested === undefined ? {} : { requested }),
    ...(queued === undefined ? {} : { queued }),
    claimed: now,
  };
  return { ...base(run), epoch: attempt.epoch, times, phase: "running", source, attempt };
}

function whenRunning(run: Run & { phase: "running" }, event: RunEvent, now: Instant): Run {
  const { attempt } = run;
  if ("machine" in event && event.machine !== attempt.machine) {
    return run;
  }
  switch (event.type) {
    case "step":
      return attempt.frozenAt === null ? at(run, event.step, now) : run;
    case "gate_passed":
      return attempt.gate === null && attempt.frozenAt === null
        ? at({ ...run, attempt: { ...attempt, gate: event.report } }, "strategy_applied", now)
        : run;
    case "key_lent":
      return attempt.gate === null || attempt.frozenAt !== null
        ? run
        : at(
            {
              ...run,
              attempt: { ...attempt, key: { hash: event.hash, expiresAt: now + limits.keyMs }, keyBefore: attempt.key },
            },
            "key_lent",
            now,
          );
    case "model_called":
      return { ...run, modelCalls: run.modelCalls + 1 };
    case "frozen":
      return attempt.frozenAt === null ? at(freeze(run, now), "key_dead", now) : run;
    case "result":
      // A result that comes without freeze freezes: what it carries was collected, so nothing may be lent any more.
      return event.frame.epoch === attempt.epoch
        ? destroying(at(freeze(run, now), "result_posted", now), endingOf(event.frame), event.digest, now)
        : run;
    case "machine_lost":
      return destroying(run, { outcome: "lost", code: "machine_lost", detail: event.why }, null, now);
    case "machine_gone": {
      // Its machine says "lost" before it says "gone"; should that word have been missed, this one means both.
      const ending: Ending = { outcome: "lost", code: "machine_lost", detail: "the machine is gone" };
      return whenDestroying(destroying(run, ending, null, now), event, now);
    }
    case "end":
      return destroying(run, event.ending, null, now);
    default:
      return run;
  }
}

function whenDestroying(run: Run & { phase: "destroying" }, event: RunEvent, now: Instant): Run {
  switch (event.type) {
    case "end":
      return { ...run, ending: event.ending };
    case "machine_gone": {
      if (event.machine !== run.attempt.machine) {
        return run;
      }
      const proof: GoneMachine = { machine: event.machine, epoch: run.attempt.epoch, evidence: event.evidence };
      const proved = at({ ...run, gone: [...run.gone, proof] }, "machine_gone", now);
      return run.ending.outcome === "lost" && run.epoch < limits.attemptsMax
        ? {
            ...base(proved),
            phase: "queued",
            since: now,
            source: run.source,
            waitingFor: "another machine, since the last one was lost",
          }
        : publishing(proved, run, now);
    }
    default:
      return run;
  }
}

function whenPublishing(run: Run & { phase: "publishing" }, event: RunEvent, now: Instant): Run {
  switch (event.type) {
    case "ending_changed":
      return { ...run, ending: event.ending };
    case "published": {
      const { ending, attempt, resultDigest } = run;
      const { publication } = event;
      const timed = publication.kind === "none" ? run : at(run, "published", now);
      return {
        ...base(timed),
        phase: "done",
        attempt,
        ending,
        resultDigest,
        publication,
        endedAt: now,
        archived: false,
      };
    }
    default:
      return run;
  }
}

/** Deadlines hold whatever event arrives. */
function overdue(run: Run, now: Instant): Run {
  switch (run.phase) {
    case "queued":
      return now >= run.since + limits.queueMs
        ? publishing(
            run,
            {
              ending: { outcome: "failed", code: "no_machine", detail: run.waitingFor },
              attempt: null,
              resultDigest: null,
            },
            now,
          )
        : run;
    case "running": {
      const { frozenAt, deadline } = run.attempt;
      if (frozenAt !== null) {
        return now >= frozenAt + limits.resultMs
          ? destroying(
              run,
              { outcome: "lost", code: "result_missing", detail: "no result came after Codex had ended" },
              null,
              now,
            )
          : run;
      }
      return now >= deadline + CODEX_END_MS
        ? destroying(run, { outcome: "timed_out", code: "deadline", detail: "Codex did not end in time" }, null, now)
        : run;
    }
    case "publishing":
    case "destroying":
    case "done":
      return run;
    default:
      return assertNever(run);
  }
}

function effectsOf(run: Run): RunEffect[] {
  switch (run.phase) {
    case "queued":
      return run.source === null
        ? [{ type: "prepare_source" }, { type: "show_progress" }]
        : [{ type: "show_progress" }];
    case "running":
      return [{ type: "show_progress" }];
    case "destroying":
      return [{ type: "destroy_machine", machine: run.attempt.machine }];
    case "publishing":
      return [{ type: "publish" }];
    case "done":
      return run.archived ? [] : [{ type: "archive" }];
    default:
      return assertNever(run);
  }
}

function freeze(run: Run & { phase: "running" }, now: Instant): Run & { phase: "running" } {
  const { attempt } = run;
  return { ...run, attempt: { ...attempt, key: null, keyBefore: null, frozenAt: attempt.frozenAt ?? now } };
}

/** However an attempt ends, capability and key die with it. */
function destroying(
  run: Run & { phase: "running" },
  ending: Ending,
  resultDigest: Digest | null,
  now: Instant,
): Run & { phase: "destroying" } {
  const { source, attempt } = run;
  const dead = base(at(run, "key_dead", now));
  return {
    ...dead,
    phase: "destroying",
    source,
    attempt: { ...attempt, key: null, keyBefore: null },
    ending,
    resultDigest,
  };
}

function publishing(
  run: Run,
  outcome: { ending: Ending; attempt: Attempt | null; resultDigest: Digest | null },
  now: Instant,
): Run {
  const { ending, attempt, resultDigest } = outcome;
  return { ...base(run), phase: "publishing", since: now, ending, attempt, resultDigest };
}

/** The first time counts: a repeated event does not move it. */
function at<R extends Run>(run: R, name: Step, now: Instant): R {
  return run.times[name] === undefined ? { ...run, times: { ...run.times, [name]: now } } : run;
}

function emptyBase(id: RunId, request: RunRequest, now: Instant): RunBase {
  return { schema: 1, id, request, createdAt: now, epoch: 0, times: {}, gone: [], modelCalls: 0 };
}

function base(run: Run): RunBase {
  const { schema, id, request, createdAt, epoch, times, gone, modelCalls } = run;
  return { schema, id, request, createdAt, epoch, times, gone, modelCalls };
}
