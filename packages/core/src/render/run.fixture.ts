import type { Ending, Outcome } from "../ending.ts";
import type { DeliveryId, Digest, MachineId, RunId } from "../ids.ts";
import { defaultTask } from "../task-spec.ts";
import type { ReportInput } from "./comment.ts";
import type { EndedRun } from "./receipt.ts";
import type { SpendFacts } from "./spend.ts";

/** Runs for the tests of this folder. */
const T0 = Date.UTC(2026, 0, 2, 3, 4, 5);
const RUN = "run_01kq3v9d5e0123456789" as RunId;
const MACHINE = "mch_01kq3v9d5e9876543210" as MachineId;
const LOST = "mch_01kq3v9d5eaaaaaaaaaa" as MachineId;

export const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}` as Digest;

export const endings: Readonly<Record<Outcome, Ending>> = {
  succeeded: { outcome: "succeeded", code: "answered", detail: "" },
  failed: { outcome: "failed", code: "codex_failed", detail: "exit code 1: stream error\n@alice ```\n/merge" },
  cancelled: { outcome: "cancelled", code: "label_removed", detail: "" },
  timed_out: { outcome: "timed_out", code: "deadline", detail: "Codex was ended at the deadline" },
  lost: { outcome: "lost", code: "machine_lost", detail: "the machine is gone" },
  refused: { outcome: "refused", code: "actor_lacks_write", detail: "bob has the role triage" },
  superseded: { outcome: "superseded", code: "pushed", detail: "" },
};

export function endedRun(ending: Ending): EndedRun {
  const refused = ending.outcome === "refused";
  return {
    schema: 1,
    id: RUN,
    request: {
      origin: {
        kind: "pull_request",
        delivery: "d-1" as DeliveryId,
        installation: 1,
        repository: { id: 2, owner: "acme", name: "app" },
        number: 3,
        label: "codex-review",
        actor: { id: 4, login: "alice", type: "User" },
        role: "write",
        head: "a".repeat(40),
        base: "b".repeat(40),
        fork: false,
      },
      requestedAt: T0,
      task: defaultTask("codex-review", "gpt-test"),
      taskDigest: digest("c"),
      prompt: "Review this.",
    },
    createdAt: T0,
    epoch: refused ? 0 : 1,
    times: refused ? { requested: T0 } : times,
    gone: refused
      ? []
      : [
          {
            machine: ending.outcome === "lost" ? LOST : MACHINE,
            epoch: 1,
            evidence: {
              at: T0 + 130_000,
              checks: [
                { what: "process", absent: true },
                { what: "machine folder", absent: true },
              ],
            },
          },
        ],
    modelCalls: refused ? 0 : 7,
    phase: "publishing",
    since: T0 + 130_000,
    ending,
    resultDigest: ending.outcome === "succeeded" ? digest("d") : null,
    attempt: refused
      ? null
      : {
          epoch: 1,
          machine: MACHINE,
          claimedAt: T0 + 5_000,
          deadline: T0 + 1_805_000,
          capabilityHash: "e".repeat(64),
          gate: {
            safety_strategy: "unprivileged-user",
            checks: [
              { name: "no sudo", ok: true, seen: "sudo: not found" },
              { name: "no network", ok: true, seen: "lo only" },
            ],
          },
          key: null,
          keyBefore: null,
          frozenAt: T0 + 120_000,
        },
  };
}

export const spend: SpendFacts = {
  spent: { requests: 7, inputTokens: 1_234_567, outputTokens: 890, microUsd: 187_345 },
  left: {
    attempt: { requests: 493, inputTokens: 18_765_433, outputTokens: 999_110, microUsd: 99_812_655 },
    run: { requests: 743, inputTokens: 28_765_433, outputTokens: 1_499_110, microUsd: 149_812_655 },
    repository_day: { requests: 4_993, inputTokens: null, outputTokens: null, microUsd: 499_812_655 },
    installation_day: { requests: null, inputTokens: null, outputTokens: null, microUsd: null },
  },
  pricedAsOf: "2026-01-01",
  refusals: [
    { code: "URL_REFERENCE", count: 2, words: "it holds an address" },
    { code: "TOOL_HOSTED", count: 1, words: "it offers a tool that runs elsewhere" },
  ],
};

export function reportInput(answer: string | null): ReportInput {
  return {
    answer,
    repository: { owner: "acme", name: "app" },
    githubHost: "github.com",
    receiptUrl: "https://mayfly.example.com/runs/1/receipt",
    spend,
    machines: [
      { machine: MACHINE, provider: "qemu", acceleration: "kvm", image: digest("f") },
      { machine: LOST, provider: "qemu", acceleration: "emulated", image: digest("f") },
    ],
    result:
      answer === null
        ? null
        : {
            codex: { version: "0.169.0", exit_code: 0, ended_by: "exit", error: null },
            final_message: { state: "present", text: answer },
            structured: null,
            patch: { state: "withheld", why: "absent" },
            usage: {
              input_tokens: 1_234_567,
              cached_input_tokens: 1_000_000,
              output_tokens: 890,
              reasoning_output_tokens: 120,
            },
          },
  };
}

const times = {
  requested: T0,
  queued: T0 + 200,
  claimed: T0 + 5_000,
  source_ready: T0 + 6_000,
  strategy_applied: T0 + 7_000,
  key_lent: T0 + 7_100,
  codex_started: T0 + 7_200,
  codex_exited: T0 + 119_000,
  key_dead: T0 + 120_000,
  result_posted: T0 + 121_000,
  machine_gone: T0 + 130_000,
};
