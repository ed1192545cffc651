import { describe, expect, it } from "vitest";
import { decideRun } from "./decide-run.ts";
import type { MachineId, RunId } from "./ids.ts";
import { limits } from "./limits.ts";
import { requestRun, type Run, type RunEvent } from "./run.ts";
import { hasOpenSetupConnection, refuseSetupConnection } from "./setup-connection.ts";
import { defaultTask } from "./task-spec.ts";

const T0 = 1_700_000_000_000;
const MACHINE = "mch_00000000000000000001" as MachineId;
const HOST = "packages.example.com";
const sha = "a".repeat(40);
const layout = { head: sha, base: sha, merge_base: sha, shallow: [sha], pack_bytes: 1, pack_sha256: "b".repeat(64) };
const report = { safety_strategy: "unprivileged-user" as const, checks: [] };
const gate: RunEvent = { type: "gate_passed", report, machine: MACHINE };

function settingUp(): Run {
  const task = { ...defaultTask("local", "example-model"), setup: ["make deps"], network: [HOST] };
  const run = requestRun({
    id: "run_00000000000000000001" as RunId,
    request: {
      origin: { kind: "local", user: "dev", path: "/tmp/example" },
      requestedAt: T0,
      task,
      taskDigest: null,
      prompt: "p",
    },
    now: T0,
  });
  return apply(run, { type: "source_prepared", layout }, { type: "claimed", machine: MACHINE, capabilityHash: "c" });
}

function apply(run: Run, ...events: readonly RunEvent[]): Run {
  return events.reduce((before, event) => decideRun(before, event, T0).run, run);
}

const opened = (id: string, host = HOST): RunEvent => ({ type: "setup_opened", id, host, machine: MACHINE });
const extended = (id: string, reservedBytes: number): RunEvent => ({
  type: "setup_extended",
  id,
  reservedBytes,
  machine: MACHINE,
});
const closed = (id: string, sentBytes: number): RunEvent => ({
  type: "setup_closed",
  id,
  end: { sentBytes, receivedBytes: 0, why: "closed" },
  machine: MACHINE,
});
const idsOf = (run: Run) => (run.setupConnections ?? []).map(({ id }) => id);

describe("a set-up's connections", () => {
  it("are to hosts that the task names and to no other", () => {
    expect(idsOf(apply(settingUp(), opened("a"), opened("b", "other.example.com")))).toEqual(["a"]);
    expect(refuseSetupConnection(settingUp(), "other.example.com", T0)).toContain(`it names ${HOST}`);
  });

  it("are written down once, however often the same is told", () => {
    const run = apply(settingUp(), opened("a"), opened("a"), closed("a", 10), closed("a", 99));
    expect(run.setupConnections).toMatchObject([{ id: "a", host: HOST, end: { sentBytes: 10 } }]);
  });

  it("hold up the gate for as long as one is open", () => {
    const open = apply(settingUp(), opened("a"), gate);
    expect(open.phase === "running" && open.attempt.gate).toBeNull();
    const passed = apply(open, closed("a", 1), gate);
    expect(passed.phase === "running" && passed.attempt.gate).toEqual(report);
    expect(idsOf(apply(passed, opened("b")))).toEqual(["a"]);
    expect(refuseSetupConnection(passed, HOST, T0)).toBe("the time for set-up is over");
  });

  it("are over after their longest life, so that a broker that died holds up no run for ever", () => {
    const open = apply(settingUp(), opened("a"));
    expect(hasOpenSetupConnection(open, T0 + limits.setupConnectionMs)).toBe(true);
    expect(hasOpenSetupConnection(open, T0 + limits.setupConnectionMs + 60_000)).toBe(false);
  });

  it("take what they may send from one sum, and give back what they did not send", () => {
    const { setupReserveBytes: step, setupSentBytesMax: most } = limits;
    let run = apply(settingUp(), opened("a"));
    for (let reserved = 2 * step; reserved <= most; reserved += step) {
      run = apply(run, extended("a", reserved));
    }
    expect(run.setupConnections).toMatchObject([{ reservedBytes: most }]);
    expect(apply(run, extended("a", most + step))).toEqual(run);
    expect(refuseSetupConnection(run, HOST, T0)).toContain(`at most ${most} bytes`);
    const back = apply(run, closed("a", most - 2 * step));
    expect(idsOf(apply(back, opened("b"), opened("c"), opened("d")))).toEqual(["a", "b", "c"]);
  });

  it("grow by one step at a time, and only while they are open", () => {
    const { setupReserveBytes: step } = limits;
    const run = apply(settingUp(), opened("a"));
    expect(apply(run, extended("a", 3 * step))).toEqual(run);
    expect(apply(run, extended("b", 2 * step))).toEqual(run);
    const over = apply(run, closed("a", 0));
    expect(apply(over, extended("a", 2 * step))).toEqual(over);
  });

  it("are bounded in number, at once and in all", () => {
    const { setupConnectionsOpenMax: atOnce, setupConnectionsMax: inAll } = limits;
    let run = settingUp();
    for (let index = 0; index <= atOnce; index += 1) {
      run = apply(run, opened(`at-once-${index}`));
    }
    expect(idsOf(run)).toHaveLength(atOnce);
    run = settingUp();
    for (let index = 0; index <= inAll; index += 1) {
      run = apply(run, opened(`${index}`), closed(`${index}`, 0));
    }
    expect(idsOf(run)).toHaveLength(inAll);
    expect(refuseSetupConnection(run, HOST, T0)).toContain(`at most ${inAll} connections`);
  });

  it("are closed to a run without set-up under way", () => {
    const ended = apply(settingUp(), {
      type: "end",
      ending: { outcome: "cancelled", code: "closed", detail: "" },
    });
    expect(refuseSetupConnection(ended, HOST, T0)).toBe("the time for set-up is over");
    expect(idsOf(apply(ended, opened("a")))).toEqual([]);
  });
});
