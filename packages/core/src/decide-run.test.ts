import { describe, expect, it } from "vitest";
import type { Ending } from "./ending.ts";
import type { Digest, MachineId, RunId } from "./ids.ts";
import { limits } from "./limits.ts";
import type { Evidence } from "./machine.ts";
import { decideRun, isAlive } from "./decide-run.ts";
import { refuseRun, requestRun, type Run, type RunEvent } from "./run.ts";
import { defaultTask } from "./task-spec.ts";

const T0 = 1_700_000_000_000;
const TIMEOUT_MS = 600_000;
/** From the deadline until an attempt that has not frozen is ended. */
const CODEX_END_MS = 20_000;
const FIRST = "mch_00000000000000000001" as MachineId;
const SECOND = "mch_00000000000000000002" as MachineId;
const DIGEST = `sha256:${"d".repeat(64)}` as Digest;
const sha = "a".repeat(40);
const layout = { head: sha, base: sha, merge_base: sha, shallow: [sha], pack_bytes: 1, pack_sha256: "b".repeat(64) };
const evidence: Evidence = { at: T0, checks: [{ what: "process", absent: true }] };
const cancelled: Ending = { outcome: "cancelled", code: "label_removed", detail: "" };
const report = { safety_strategy: "unprivileged-user" as const, checks: [{ name: "sudo", ok: true, seen: "none" }] };
const request = {
  origin: { kind: "local", user: "dev", path: "/tmp/example" },
  requestedAt: T0 - 1_000,
  task: { ...defaultTask("local", "example-model"), timeoutMs: TIMEOUT_MS },
  taskDigest: null,
  prompt: "p",
} as const;
const gate: RunEvent = { type: "gate_passed", report, machine: FIRST };
const key: RunEvent = { type: "key_lent", hash: "k", machine: FIRST };
const lost = { type: "machine_lost", machine: FIRST, why: "silent" } as const;
const gone = (machine: MachineId): RunEvent => ({ type: "machine_gone", machine, evidence });
const claimed = (machine: MachineId): RunEvent => ({ type: "claimed", machine, capabilityHash: "c" });
const result = (epoch: number): RunEvent => ({
  type: "result",
  machine: FIRST,
  digest: DIGEST,
  frame: { kind: "failure", epoch, failure: { step: "codex", message: "m" } },
});

function queued(): Run {
  return requestRun({ id: "run_00000000000000000001" as RunId, request, now: T0 });
}

/** The run after these events, one a second. */
function after(events: readonly RunEvent[], from: Run = queued()): Run {
  return events.reduce((run, event, index) => decideRun(run, event, T0 + (index + 1) * 1_000).run, from);
}

const prepared: RunEvent = { type: "source_prepared", layout };
const running = () => after([prepared, claimed(FIRST)]);

function expectPhase<P extends Run["phase"]>(run: Run, phase: P): Run & { phase: P } {
  expect(run.phase).toBe(phase);
  return run as Run & { phase: P };
}

describe("a run that waits", () => {
  it("asks for its source until it has one", () => {
    expect(decideRun(queued(), { type: "tick" }, T0).effects).toEqual([
      { type: "prepare_source" },
      { type: "show_progress" },
    ]);
    expect(decideRun(after([prepared]), { type: "tick" }, T0).effects).toEqual([{ type: "show_progress" }]);
  });

  it("takes no machine before it has its source", () => {
    expect(after([claimed(FIRST)])).toEqual(queued());
  });

  it("says what it waits for", () => {
    expect(after([prepared, { type: "waiting", reason: "a machine: number 2 in line" }])).toMatchObject({
      waitingFor: "a machine: number 2 in line",
    });
  });

  it.each(["stopped", "end"] as const)("is published without a machine when it is over (%s)", (type) => {
    const { run, effects } = decideRun(queued(), { type, ending: cancelled }, T0);
    expect(expectPhase(run, "publishing")).toMatchObject({ ending: cancelled, attempt: null, resultDigest: null });
    expect(effects).toEqual([{ type: "publish" }]);
  });

  it("fails once it has waited its full time, and not a moment sooner", () => {
    const since = T0;
    expect(decideRun(queued(), { type: "tick" }, since + limits.queueMs - 1).run.phase).toBe("queued");
    const { run } = decideRun(queued(), { type: "tick" }, since + limits.queueMs);
    expect(expectPhase(run, "publishing").ending.code).toBe("no_machine");
  });

  it("cannot be claimed once its time is over, though nobody has noticed yet", () => {
    expect(decideRun(after([prepared]), claimed(FIRST), T0 + limits.queueMs).run.phase).toBe("publishing");
  });

  it("never waits at all when policy refused it", () => {
    const ending: Ending = { outcome: "refused", code: "actor_lacks_write", detail: "" };
    const run = refuseRun({ id: queued().id, request, ending, now: T0 });
    expect(decideRun(run, { type: "tick" }, T0).effects).toEqual([{ type: "publish" }]);
    expect(run.epoch).toBe(0);
  });
});

describe("an attempt", () => {
  it("begins with its machine, its epoch and its deadline", () => {
    const run = expectPhase(running(), "running");
    expect(run.epoch).toBe(1);
    expect(run.attempt).toMatchObject({
      epoch: 1,
      machine: FIRST,
      deadline: T0 + 2_000 + TIMEOUT_MS,
      gate: null,
      key: null,
    });
    expect(run.times).toEqual({ requested: T0 - 1_000, queued: T0, claimed: T0 + 2_000 });
  });

  it("is not taken over by a second machine", () => {
    const run = running();
    expect(decideRun(run, claimed(SECOND), T0).run).toBe(run);
  });

  it("lends no key before the gate has passed", () => {
    const run = running();
    expect(decideRun(run, key, T0).run).toBe(run);
    expect(after([gate, key], run)).toMatchObject({
      attempt: { key: { hash: "k", expiresAt: T0 + 2_000 + limits.keyMs } },
    });
  });

  it("keeps the first gate report and the first time of each step", () => {
    const other: RunEvent = { type: "gate_passed", report: { ...report, checks: [] }, machine: FIRST };
    const started: RunEvent = { type: "step", step: "codex_started", machine: FIRST };
    const run = expectPhase(after([gate, other, started, started], running()), "running");
    expect(run.attempt.gate).toEqual(report);
    expect(run.times).toMatchObject({ strategy_applied: T0 + 1_000, codex_started: T0 + 3_000 });
  });

  it("renews the key and counts model calls", () => {
    const run = expectPhase(
      after(
        [gate, key, { type: "key_lent", hash: "k2", machine: FIRST }, { type: "model_called", machine: FIRST }],
        running(),
      ),
      "running",
    );
    expect(run.attempt.key).toEqual({ hash: "k2", expiresAt: T0 + 3_000 + limits.keyMs });
    expect(run.times.key_lent).toBe(T0 + 2_000);
    expect(run.modelCalls).toBe(1);
  });

  it("kills key and capability at freeze, for good", () => {
    const frozen = after([gate, key, { type: "frozen", machine: FIRST }], running());
    expect(frozen).toMatchObject({ attempt: { key: null, frozenAt: T0 + 3_000 }, times: { key_dead: T0 + 3_000 } });
    expect(isAlive(frozen, FIRST, T0)).toBe(false);
    for (const event of [
      key,
      gate,
      { type: "frozen", machine: FIRST },
      { type: "step", step: "codex_exited" },
    ] as RunEvent[]) {
      expect(decideRun(frozen, event, T0 + 9_000).run).toBe(frozen);
    }
  });

  it("is alive on its own machine alone, until shortly after its deadline", () => {
    const run = expectPhase(running(), "running");
    const end = run.attempt.deadline + CODEX_END_MS;
    expect(isAlive(run, FIRST, end - 1)).toBe(true);
    expect(isAlive(run, FIRST, end)).toBe(false);
    expect(isAlive(run, SECOND, T0)).toBe(false);
    expect(isAlive(queued(), FIRST, T0)).toBe(false);
  });

  it("times out at that very moment, whatever arrives", () => {
    const run = expectPhase(running(), "running");
    const end = run.attempt.deadline + CODEX_END_MS;
    expect(decideRun(run, { type: "tick" }, end - 1).run).toBe(run);
    for (const event of [{ type: "tick" }, result(1), key, gate] as RunEvent[]) {
      const over = expectPhase(decideRun(run, event, end).run, "destroying");
      expect(over).toMatchObject({ ending: { outcome: "timed_out", code: "deadline" }, resultDigest: null });
    }
  });

  it("is lost when no result follows freeze in time", () => {
    const frozen = after([{ type: "frozen", machine: FIRST }], running());
    const end = T0 + 1_000 + limits.resultMs;
    expect(decideRun(frozen, { type: "tick" }, end - 1).run).toBe(frozen);
    expect(decideRun(frozen, result(1), end).run).toMatchObject({
      phase: "destroying",
      ending: { code: "result_missing" },
    });
  });

  it("takes the result of its own epoch and no other", () => {
    const run = running();
    expect(decideRun(run, result(2), T0).run).toBe(run);
    expect(decideRun(run, result(1), T0)).toMatchObject({
      run: { phase: "destroying", resultDigest: DIGEST, ending: { code: "agent_failed" } },
      effects: [{ type: "destroy_machine", machine: FIRST }],
    });
  });

  it("takes no second result", () => {
    const done = after([result(1)], running());
    expect(decideRun(done, result(1), T0).run).toBe(done);
  });

  it.each<RunEvent>([
    gate,
    key,
    { type: "frozen", machine: FIRST },
    { type: "model_called", machine: FIRST },
    result(1),
    { type: "step", step: "codex_started", machine: FIRST },
  ])("is not moved by what another machine says late ($type)", (event) => {
    const run = after([gate], running());
    expect(decideRun(run, { ...event, machine: SECOND } as RunEvent, T0).run).toBe(run);
  });

  it("goes on when a source's late failure arrives", () => {
    const run = running();
    expect(decideRun(run, { type: "stopped", ending: cancelled }, T0).run).toBe(run);
  });

  it.each<[string, RunEvent, number]>([
    ["a person", { type: "end", ending: cancelled }, T0 + 5_000],
    ["the loss of its machine", lost, T0 + 5_000],
    ["its deadline", { type: "tick" }, T0 + 2_000 + TIMEOUT_MS + CODEX_END_MS],
    ["a result without freeze", result(1), T0 + 5_000],
  ])("writes down when the key died: ended by %s", (_name, event, now) => {
    const run = expectPhase(decideRun(after([gate, key], running()), event, now).run, "destroying");
    expect(run.times.key_dead).toBe(now);
    expect(run.attempt.key).toBeNull();
    expect(isAlive(run, FIRST, T0)).toBe(false);
  });

  it("keeps the time of freeze when a result follows", () => {
    expect(after([gate, key, { type: "frozen", machine: FIRST }, result(1)], running()).times.key_dead).toBe(
      T0 + 3_000,
    );
  });
});

describe("a run whose attempt has ended", () => {
  it("asks for destruction again until its own machine is gone", () => {
    const run = after([result(1)], running());
    expect(decideRun(run, gone(SECOND), T0).run).toBe(run);
    expect(decideRun(run, { type: "tick" }, T0).effects).toEqual([{ type: "destroy_machine", machine: FIRST }]);
    const next = expectPhase(decideRun(run, gone(FIRST), T0).run, "publishing");
    expect(next.gone).toEqual([{ machine: FIRST, epoch: 1, evidence }]);
    expect(next.resultDigest).toBe(DIGEST);
  });

  it("tries once more when its machine was lost, and says so the second time", () => {
    const again = expectPhase(after([lost, gone(FIRST)], running()), "queued");
    expect(again.source).toEqual(layout);
    const second = expectPhase(after([claimed(SECOND)], again), "running");
    expect(second.attempt).toMatchObject({ epoch: 2, machine: SECOND, gate: null, key: null, frozenAt: null });
    expect(second.times).toEqual({ requested: T0 - 1_000, queued: T0, claimed: T0 + 1_000 });
    const over = expectPhase(after([{ ...lost, machine: SECOND }, gone(SECOND)], second), "publishing");
    expect(over.ending.outcome).toBe("lost");
    expect(over.gone.map(({ machine, epoch }) => [machine, epoch])).toEqual([
      [FIRST, 1],
      [SECOND, 2],
    ]);
  });

  it("is not lost twice by one machine", () => {
    const second = after([lost, gone(FIRST), claimed(SECOND)], running());
    expect(decideRun(second, lost, T0).run).toBe(second);
    expect(decideRun(second, gone(FIRST), T0).run).toBe(second);
  });

  it("tries again when the machine's end is the first it hears of it", () => {
    const run = expectPhase(after([gate, key, gone(FIRST)], running()), "queued");
    expect(run.gone).toHaveLength(1);
    expect(run.times.key_dead).toBe(T0 + 3_000);
  });

  it("does not try again once somebody has ended it", () => {
    expect(after([lost, { type: "end", ending: cancelled }, gone(FIRST)], running())).toMatchObject({
      phase: "publishing",
      ending: cancelled,
    });
  });

  it("is published once, archived once, and then never changes", () => {
    const publication = { kind: "comment", url: "https://example.com/1", commentId: 1, checkRunId: 2 } as const;
    const published: RunEvent = { type: "published", publication };
    const done = expectPhase(after([result(1), gone(FIRST), published], running()), "done");
    expect(done).toMatchObject({ publication, archived: false, endedAt: T0 + 3_000, times: { published: T0 + 3_000 } });
    expect(decideRun(done, { type: "tick" }, T0).effects).toEqual([{ type: "archive" }]);
    const archived = decideRun(done, { type: "archived" }, T0).run;
    expect(archived).toEqual({ ...done, archived: true });
    const events: RunEvent[] = [
      { type: "archived" },
      published,
      { type: "end", ending: cancelled },
      { type: "tick" },
      result(1),
      gone(FIRST),
    ];
    for (const event of events) {
      expect(decideRun(archived, event, T0 + limits.queueMs * 9)).toEqual({ run: archived, effects: [] });
      expect(decideRun(archived, event, T0 + limits.queueMs * 9).run).toBe(archived);
    }
  });

  it("changes its ending where publishing finds a reason, and has no time of publication where nothing was", () => {
    const nowhere: RunEvent = {
      type: "published",
      publication: { kind: "none", url: null, commentId: null, checkRunId: null },
    };
    const events: RunEvent[] = [result(1), gone(FIRST), { type: "ending_changed", ending: cancelled }, nowhere];
    const done = expectPhase(after(events, running()), "done");
    expect(done.ending).toEqual(cancelled);
    expect(done.times.published).toBeUndefined();
  });
});
