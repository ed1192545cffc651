import type { EndingCode, Outcome } from "../ending.ts";
import type { Digest, MachineId, RunId } from "../ids.ts";
import type { Acceleration, AbsenceCheck } from "../machine.ts";
import { PROTOCOL_VERSION, type GateReport } from "../protocol.ts";
import type { Result, Usage } from "../result.ts";
import type { Publication, Run } from "../run.ts";
import type { LocalOrigin, PullRequestOrigin, TaskSource } from "../run-request.ts";
import type { SetupConnection, SetupConnectionEnd } from "../setup-connection.ts";
import type { TaskSpec } from "../task-spec.ts";
import { ranAsRoot } from "./as-root.ts";
import type { SpendFacts } from "./spend.ts";
import { durationOf, renderSteps } from "./steps.ts";
import { isoTime } from "./text.ts";

/** A run whose ending is known and whose machines are gone. */
export type EndedRun = Run & { readonly phase: "publishing" | "done" };

/** What is known of a machine that served the run. */
export interface MachineFacts {
  readonly machine: MachineId;
  readonly provider: string;
  readonly acceleration: Acceleration;
  readonly image: Digest;
}

/** What a run's record does not carry itself. */
export interface RunFacts {
  /** What the last attempt returned, if it did. */
  readonly result: Result | null;
  readonly machines: readonly MachineFacts[];
  /** Null for a run that had no attempt, so that nothing was metered. */
  readonly spend: SpendFacts | null;
}

/** The record of a run, as stored. Strings from the guest and from GitHub are in it as they came: escape them to show them. */
export interface Receipt {
  readonly schema: 1;
  readonly run: RunId;
  /** Who and what asked for it, with the SHAs that were approved and the actor's role at that time. */
  readonly trigger: PullRequestOrigin | LocalOrigin;
  readonly task: TaskSpec & {
    readonly digest: Digest | null;
    /** Where its file was read; not there where none was. */
    readonly source?: TaskSource;
  };
  readonly agent: {
    readonly protocol: number;
    readonly codexVersion: string | null;
    readonly exitCode: number | null;
    readonly endedBy: Result["codex"]["ended_by"] | null;
    /** Whether Codex was root in its machine: the strategy `unsafe`. */
    readonly ranAsRoot: boolean;
  };
  readonly outcome: Outcome;
  readonly code: EndingCode;
  readonly detail: string;
  readonly attempts: number;
  readonly modelCalls: number;
  /** As the machine's Codex counted it. */
  readonly usage: Usage | null;
  /** As the broker metered it. */
  readonly spend: SpendFacts | null;
  readonly resultDigest: Digest | null;
  readonly publication: Publication | null;
  readonly gate: GateReport | null;
  /** Every connection that the task's set-up had; not there where it had none. */
  readonly setupConnections?: readonly ReceiptConnection[];
  readonly timings: {
    readonly totalMs: number;
    readonly steps: readonly { readonly step: string; readonly at: string; readonly offsetMs: number }[];
    readonly phasesMs: PhasesMs;
  };
  readonly machines: readonly ReceiptMachine[];
  /** Which machine its provider took back, and when; not there where none was. */
  readonly takenBack?: { readonly machine: MachineId; readonly epoch: number; readonly at: string };
}

/** A connection of a set-up. Its `end` is null where the broker that carried it ended first. */
export interface ReceiptConnection {
  readonly epoch: number;
  readonly host: string;
  readonly openedAt: string;
  /** What may have left at most. */
  readonly reservedBytes: number;
  readonly end: (Omit<SetupConnectionEnd, "at"> & { readonly at: string }) | null;
}

/** How long each phase of the last attempt took, ms; null if it did not begin or end. */
export interface PhasesMs {
  readonly waiting: number | null;
  readonly preparing: number | null;
  readonly codex: number | null;
  readonly keyAlive: number | null;
  readonly returning: number | null;
  readonly destroying: number | null;
  readonly publishing: number | null;
}

/** One machine, and the evidence that it is gone. */
export interface ReceiptMachine {
  readonly machine: MachineId;
  readonly epoch: number;
  readonly provider: string | null;
  readonly acceleration: Acceleration | null;
  readonly isolation: "virtual machine" | "emulated: no isolation guarantee" | "unknown";
  readonly image: Digest | null;
  readonly goneAt: string;
  readonly evidence: readonly AbsenceCheck[];
}

/** The receipt of an ended run: a plain value for JSON, with every moment in ISO 8601 and every duration in ms. */
export function renderReceipt(run: EndedRun, facts: RunFacts): Receipt {
  const { request, ending } = run;
  const codex = facts.result?.codex ?? null;
  return {
    schema: 1,
    run: run.id,
    trigger: request.origin,
    task: {
      ...request.task,
      digest: request.taskDigest,
      ...(request.taskSource === undefined ? {} : { source: request.taskSource }),
    },
    agent: {
      protocol: PROTOCOL_VERSION,
      codexVersion: codex?.version ?? null,
      exitCode: codex?.exit_code ?? null,
      endedBy: codex?.ended_by ?? null,
      ranAsRoot: ranAsRoot(run),
    },
    outcome: ending.outcome,
    code: ending.code,
    detail: ending.detail,
    attempts: run.epoch,
    modelCalls: run.modelCalls,
    usage: facts.result?.usage ?? null,
    spend: facts.spend,
    resultDigest: run.resultDigest,
    publication: run.phase === "done" ? run.publication : null,
    gate: run.attempt?.gate ?? null,
    ...(run.setupConnections === undefined ? {} : { setupConnections: run.setupConnections.map(connectionOf) }),
    timings: {
      totalMs: durationOf(run),
      steps: renderSteps(run).map(({ step, at, offsetMs }) => ({ step, at: isoTime(at), offsetMs })),
      phasesMs: phasesOf(run),
    },
    machines: machinesOf(run, facts.machines),
    ...(run.takenBack === undefined ? {} : { takenBack: { ...run.takenBack, at: isoTime(run.takenBack.at) } }),
  };
}

function connectionOf({ epoch, host, openedAt, reservedBytes, end }: SetupConnection): ReceiptConnection {
  const ended = end === null ? null : { ...end, at: isoTime(end.at) };
  return { epoch, host, openedAt: isoTime(openedAt), reservedBytes, end: ended };
}

/** Every machine that served the run, with what is known of it. */
export function machinesOf(run: EndedRun, facts: readonly MachineFacts[]): ReceiptMachine[] {
  return run.gone.map(({ machine, epoch, evidence }) => {
    const known = facts.find((one) => one.machine === machine);
    return {
      machine,
      epoch,
      provider: known?.provider ?? null,
      acceleration: known?.acceleration ?? null,
      isolation: isolationOf(known?.acceleration),
      image: known?.image ?? null,
      goneAt: isoTime(evidence.at),
      evidence: evidence.checks,
    };
  });
}

function isolationOf(acceleration: Acceleration | undefined): ReceiptMachine["isolation"] {
  if (acceleration === undefined) {
    return "unknown";
  }
  return acceleration === "emulated" ? "emulated: no isolation guarantee" : "virtual machine";
}

function phasesOf({ times }: Run): PhasesMs {
  const between = (from: number | undefined, to: number | undefined) =>
    from === undefined || to === undefined ? null : Math.max(0, to - from);
  return {
    waiting: between(times.queued, times.claimed),
    preparing: between(times.claimed, times.codex_started),
    codex: between(times.codex_started, times.codex_exited),
    keyAlive: between(times.key_lent, times.key_dead),
    returning: between(times.key_dead, times.result_posted),
    destroying: between(times.result_posted ?? times.key_dead, times.machine_gone),
    publishing: between(times.machine_gone, times.published),
  };
}
