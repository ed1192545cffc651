import { describe, expect, it } from "vitest";
import type { Digest, MachineId, RunId } from "./ids.ts";
import { limits } from "./limits.ts";
import {
  decideMachine,
  type Evidence,
  intendMachine,
  isClaimedBy,
  isLeased,
  type Machine,
  type MachineEvent,
} from "./machine.ts";

const T0 = 1_700_000_000_000;
const RUN_MS = 600_000;
const claim = { run: "run_00000000000000000001" as RunId, epoch: 1 };
const other = { run: "run_00000000000000000002" as RunId, epoch: 1 };
const evidence: Evidence = { at: T0, checks: [{ what: "process", absent: true }] };
const tick: MachineEvent = { type: "tick" };
const hello: MachineEvent = { type: "hello" };
const destroy: MachineEvent = { type: "destroy", why: "attempt_ended" };
const absent: MachineEvent = { type: "absent", evidence };

function intended(): Machine {
  const id = "mch_00000000000000000001" as MachineId;
  const image = `sha256:${"a".repeat(64)}` as Digest;
  return intendMachine({ id, provider: "qemu", acceleration: "kvm", image, now: T0, runMsMax: RUN_MS });
}

/** The machine after these events, one a second. */
function after(events: readonly MachineEvent[], from: Machine = intended()): Machine {
  return events.reduce(
    (machine, event, index) => decideMachine(machine, event, T0 + (index + 1) * 1_000).machine,
    from,
  );
}

const ready = () => after([{ type: "launched" }, hello]);
const claimed = () => after([{ type: "launched" }, hello, { type: "claim", claim }]);

describe("a machine before its attempt", () => {
  it("has a deadline from the first, long enough for booting, waiting, the longest run and its result", () => {
    const { deadline } = intended();
    const latestClaim = T0 + limits.bootMs + limits.idleMachineMs;
    expect(deadline).toBe(latestClaim + RUN_MS + limits.resultMs + limits.machineGraceMs);
  });

  it("is listened to before it is launched", () => {
    expect(decideMachine(intended(), tick, T0).effects).toEqual([{ type: "listen" }, { type: "launch" }]);
  });

  it("is ready at its agent's first word, even if the launch was never written down", () => {
    expect(after([hello])).toMatchObject({ phase: "ready", readyAt: T0 + 1_000 });
    expect(after([hello, { type: "launched" }])).toMatchObject({ phase: "ready" });
    expect(after([hello, { type: "launch_failed" }])).toMatchObject({ phase: "ready" });
  });

  it.each<[string, MachineEvent[]]>([
    ["intended", []],
    ["booting", [{ type: "launched" }]],
  ])("is destroyed when it does not boot in time (%s)", (phase, events) => {
    const machine = after(events);
    expect(decideMachine(machine, tick, T0 + limits.bootMs - 1).machine).toBe(machine);
    expect(machine.phase).toBe(phase);
    expect(decideMachine(machine, hello, T0 + limits.bootMs).machine).toMatchObject({
      phase: "destroying",
      why: "boot_deadline",
    });
  });

  it("is destroyed when it falls silent, and when nobody needs it", () => {
    const machine = ready();
    const heard = T0 + 2_000;
    expect(decideMachine(machine, tick, heard + limits.heartbeatLossMs - 1).machine).toBe(machine);
    expect(decideMachine(machine, hello, heard + limits.heartbeatLossMs).machine).toMatchObject({ why: "silent" });
    const end = heard + limits.idleMachineMs;
    const chatty = decideMachine({ ...machine, heardAt: end - 1 } as Machine, hello, end - 1).machine;
    expect(chatty).toMatchObject({ phase: "ready", readyAt: heard });
    expect(decideMachine(chatty, { type: "claim", claim }, end).machine).toMatchObject({
      phase: "destroying",
      why: "idle",
      claim: null,
    });
  });

  it("tells no run when it ends unclaimed", () => {
    const { machine, effects } = decideMachine(ready(), destroy, T0 + 3_000);
    expect(effects).toEqual([{ type: "destroy" }]);
    expect(decideMachine(machine, absent, T0 + 3_000).effects).toEqual([]);
  });
});

describe("a machine and its one attempt", () => {
  it.each<[string, MachineEvent[]]>([
    ["intended", []],
    ["booting", [{ type: "launched" }]],
    ["destroying", [hello, destroy]],
    ["gone", [hello, destroy, absent]],
  ])("is not claimed while it is %s", (_phase, events) => {
    const machine = after(events);
    expect(decideMachine(machine, { type: "claim", claim }, T0 + 5_000).machine).toBe(machine);
  });

  it("is claimed once and by no other", () => {
    const machine = claimed();
    expect(isClaimedBy(machine, claim)).toBe(true);
    expect(isClaimedBy(machine, other)).toBe(false);
    expect(isClaimedBy(machine, { ...claim, epoch: 2 })).toBe(false);
    expect(decideMachine(machine, { type: "claim", claim: other }, T0 + 4_000).machine).toBe(machine);
  });

  it("keeps its claim to the end, so that the run hears of it", () => {
    const lost = decideMachine(claimed(), { type: "vanished" }, T0 + 4_000);
    expect(lost.effects).toEqual([{ type: "tell_run_lost", claim, why: "vanished" }, { type: "destroy" }]);
    const gone = decideMachine(lost.machine, absent, T0 + 4_000);
    expect(gone.effects).toEqual([{ type: "tell_run_gone", claim, evidence }]);
    expect(decideMachine(gone.machine, tick, T0 + 9_000).effects).toEqual(gone.effects);
  });

  it("does not call itself lost when its attempt has ended", () => {
    expect(decideMachine(claimed(), destroy, T0 + 4_000).effects).toEqual([{ type: "destroy" }]);
  });

  it("keeps the first reason it is destroyed for", () => {
    const machine = after([{ type: "vanished" }], claimed());
    expect(decideMachine(machine, destroy, T0 + 9_000).machine).toBe(machine);
  });

  it("is leased until it is silent, its deadline has passed or it is to be destroyed", () => {
    const machine = claimed();
    const heard = T0 + 3_000;
    expect(isLeased(machine, heard + limits.heartbeatLossMs - 1)).toBe(true);
    expect(isLeased(machine, heard + limits.heartbeatLossMs)).toBe(false);
    const talking = { ...machine, heardAt: machine.deadline } as Machine;
    expect(isLeased(talking, machine.deadline - 1)).toBe(true);
    expect(isLeased(talking, machine.deadline)).toBe(false);
    expect(isLeased(after([destroy], machine), T0)).toBe(false);
    expect(isLeased(ready(), T0 + 2_000)).toBe(false);
  });

  it("renews its lease by heartbeats, but cannot bring one back", () => {
    const heard = T0 + 3_000;
    const late = heard + limits.heartbeatLossMs;
    const renewed = decideMachine(claimed(), { type: "heard" }, late - 1).machine;
    expect(isLeased(renewed, late)).toBe(true);
    expect(decideMachine(claimed(), { type: "heard" }, late).machine).toMatchObject({
      phase: "destroying",
      why: "silent",
      claim,
    });
  });

  it("ends at its deadline however much it talks", () => {
    const machine = { ...claimed(), heardAt: intended().deadline } as Machine;
    expect(decideMachine(machine, { type: "heard" }, machine.deadline).machine).toMatchObject({ why: "deadline" });
  });
});

describe("a machine's end", () => {
  it("needs proof: evidence that found something, or looked for nothing, is none", () => {
    const machine = after([destroy]);
    const found = { at: T0, checks: [...evidence.checks, { what: "disk", absent: false }] };
    expect(decideMachine(machine, { type: "absent", evidence: found }, T0).machine).toBe(machine);
    expect(decideMachine(machine, { type: "absent", evidence: { at: T0, checks: [] } }, T0).machine).toBe(machine);
    expect(decideMachine(machine, absent, T0).machine).toMatchObject({ phase: "gone", why: "attempt_ended", evidence });
  });

  it("is not believed of a machine that nobody destroyed", () => {
    const machine = ready();
    expect(decideMachine(machine, absent, T0 + 3_000).machine).toBe(machine);
  });

  it("is final", () => {
    const machine = after([destroy, absent]);
    const events: MachineEvent[] = [
      tick,
      hello,
      { type: "launched" },
      { type: "launch_failed" },
      { type: "claim", claim },
      { type: "heard" },
      { type: "vanished" },
      destroy,
      absent,
    ];
    for (const event of events) {
      expect(decideMachine(machine, event, machine.deadline * 2).machine).toBe(machine);
    }
  });

  it("comes after a failed launch too, since half a machine may be there", () => {
    expect(decideMachine(intended(), { type: "launch_failed" }, T0)).toMatchObject({
      machine: { phase: "destroying", why: "launch_failed" },
      effects: [{ type: "destroy" }],
    });
  });
});
