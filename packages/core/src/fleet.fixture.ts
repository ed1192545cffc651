import type { Digest, Instant, LaunchId, MachineId, RunId } from "./ids.ts";
import { decideLaunch, intendLaunch, type Launch } from "./launch.ts";
import { limits } from "./limits.ts";
import { decideMachine, type DestroyReason, type Machine, recordMachine } from "./machine.ts";
import { requestRun, type Run } from "./run.ts";
import type { PullRequestOrigin } from "./run-request.ts";
import { defaultTask } from "./task-spec.ts";

/** Noon, so that whole hours of the day are on both sides. */
export const NOW = Date.UTC(2026, 0, 5, 12);
export const SPEC = digestOf("b");
export const OLD_SPEC = digestOf("c");
/** Machines of these launches live for 92 minutes more than this. */
const RUN_MS = 60_000;

export function digestOf(digit: string): Digest {
  return `sha256:${digit.repeat(64)}` as Digest;
}

/** A launch, open unless it says what came of it. */
export function launchOf(
  digit: string,
  options: {
    count?: number;
    spec?: Digest;
    createdAt?: Instant;
    interruptible?: boolean;
    settled?: { machines: readonly Machine[]; at?: Instant; fault?: string; lacking?: string };
  } = {},
): Launch {
  const { count = 1, spec = SPEC, createdAt = NOW, interruptible = false, settled } = options;
  const provider = { name: "fake", acceleration: "cloud", image: digestOf("a"), spec } as const;
  const id = `lch_${digit.padStart(20, "0")}` as LaunchId;
  const launch = intendLaunch({ id, provider, count, plan: {}, interruptible, now: createdAt, runMsMax: RUN_MS });
  if (settled === undefined) {
    return launch;
  }
  const { machines, at = createdAt, fault, lacking } = settled;
  const missing = lacking === undefined ? [] : [{ count: count - machines.length, reason: lacking }];
  return decideLaunch(
    launch,
    fault === undefined
      ? { type: "launched", machines: machines.map((machine) => machine.id), missing }
      : { type: "failed", reason: fault },
    at,
  ).launch;
}

/** A machine of the launch with the same digits, booting unless it says more. */
export function machineOf(
  digit: string,
  options: {
    launch?: Launch;
    spec?: Digest;
    launchedAt?: Instant;
    isReady?: boolean;
    claim?: { run: Run };
    end?: { why: DestroyReason; at?: Instant; goneAt: Instant | null };
  } = {},
): Machine {
  const { launchedAt = NOW, isReady = false, claim, end } = options;
  const launch = options.launch ?? launchOf(digit, { createdAt: launchedAt, spec: options.spec ?? SPEC });
  let machine = recordMachine({ id: `mch_${digit.padStart(20, "0")}` as MachineId, launch, now: launchedAt });
  const tell = (event: Parameters<typeof decideMachine>[1], at: Instant) => {
    machine = decideMachine(machine, event, at).machine;
  };
  if (isReady || claim !== undefined) {
    tell({ type: "hello" }, launchedAt);
  }
  if (claim !== undefined) {
    tell({ type: "claim", claim: { run: claim.run.id, epoch: 1 } }, launchedAt);
  }
  if (end !== undefined) {
    tell({ type: "destroy", why: end.why }, end.at ?? end.goneAt ?? launchedAt);
  }
  if (end !== undefined && end.goneAt !== null) {
    const checks = [{ what: "instance", absent: true }];
    tell({ type: "absent", evidence: { at: end.goneAt, checks } }, end.goneAt);
  }
  return machine;
}

/** A run that waits for a machine, for this installation; "running" has one. */
export function runOf(digit: string, installation: number | null, phase: "queued" | "running" = "queued"): Run {
  const origin: PullRequestOrigin = {
    kind: "pull_request",
    delivery: "d" as PullRequestOrigin["delivery"],
    installation: installation ?? 0,
    repository: { id: 1, owner: "o", name: "r" },
    number: 1,
    label: "codex-review",
    actor: { id: 1, login: "a", type: "User" },
    role: "write",
    head: "a".repeat(40),
    base: "b".repeat(40),
    fork: false,
  };
  const request = {
    origin: installation === null ? ({ kind: "local", user: "dev", path: "/tmp/example" } as const) : origin,
    requestedAt: NOW,
    task: defaultTask("t", "m"),
    taskDigest: null,
    prompt: "p",
  };
  const queued = requestRun({ id: `run_${digit.padStart(20, "0")}` as RunId, request, now: NOW });
  const source = { head: "a".repeat(40), base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "" };
  const waiting = { ...queued, phase: "queued", since: NOW, source, waitingFor: "a machine" } as const;
  if (phase === "queued") {
    return waiting;
  }
  const attempt = {
    epoch: 1,
    machine: `mch_${digit.padStart(20, "0")}` as MachineId,
    claimedAt: NOW,
    deadline: NOW + limits.runMsDefault,
    capabilityHash: "",
    gate: null,
    key: null,
    keyBefore: null,
    frozenAt: null,
  };
  return { ...waiting, phase: "running", epoch: 1, attempt };
}
