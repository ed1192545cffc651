import type { Digest, Instant, MachineId, RunId } from "./ids.ts";
import type { Ending } from "./ending.ts";
import type { Evidence } from "./machine.ts";
import type { GateReport, ResultFrame, SourceLayout } from "./protocol.ts";
import type { RunRequest } from "./run-request.ts";
import type { SetupConnection, SetupConnectionEnd } from "./setup-connection.ts";
import type { RuleCounts } from "./safe-output/rules.ts";

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
  /** The first of these that there is: the comment, the review, the check. */
  readonly kind: "comment" | "review" | "check" | "none";
  readonly url: string | null;
  readonly commentId: number | null;
  readonly checkRunId: number | null;
  /** How often each rule of what may be shown applied to the answer; not there in records of runs that showed nothing. */
  readonly removed?: RuleCounts;
}

/** A machine that served this run and is proved gone. */
export interface GoneMachine {
  readonly machine: MachineId;
  readonly epoch: number;
  readonly evidence: Evidence;
}

/** A provider took the machine of an attempt back, and the run goes on with one that is not taken back. */
interface TakenBack {
  readonly machine: MachineId;
  readonly epoch: number;
  readonly at: Instant;
}

export interface RunBase {
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
  /** The last time it happened; not there in records of runs whose machines nobody took back. */
  readonly takenBack?: TakenBack;
  /** Over all attempts, in order; not there in records of runs whose set-up reached nobody. */
  readonly setupConnections?: readonly SetupConnection[];
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
  | (FromMachine & { readonly type: "setup_opened"; readonly id: string; readonly host: string })
  | (FromMachine & { readonly type: "setup_extended"; readonly id: string; readonly reservedBytes: number })
  | (FromMachine & { readonly type: "setup_closed"; readonly id: string; readonly end: Omit<SetupConnectionEnd, "at"> })
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

function emptyBase(id: RunId, request: RunRequest, now: Instant): RunBase {
  return { schema: 1, id, request, createdAt: now, epoch: 0, times: {}, gone: [], modelCalls: 0 };
}
