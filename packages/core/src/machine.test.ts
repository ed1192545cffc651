import { describe, expect, it } from "vitest";
import type { Digest, LaunchId, MachineId, RunId } from "./ids.ts";
import { intendLaunch, machineLifeMs } from "./launch.ts";
import { limits } from "./limits.ts";
import {
  decideMachine,
  type Evidence,
  isClaimedBy,
  isLeased,
  type Machine,
  type MachineEvent,
  PARTS_MAX,
  recordMachine,
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

const digest = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const launch = intendLaunch({
  id: "lch_00000000000000000001" as LaunchId,
  provider: { name: "qemu", acceleration: "kvm", image: digest("a"), spec: digest("b") },
  count: 1,
  plan: {},
  now: T0 - 10_000,
  runMsMax: RUN_MS,
});

function booting(): Machine {
  return recordMachine({ id: "mch_00000000000000000001" as MachineId, launch, now: T0 });
}

/** The machine after these events, one a second. */
function after(events: readonly MachineEvent[], from: Machine = booting()): Machine {
  return events.reduce(
    (machine, event, index) => decideMachine(machine, event, T0 + (index + 1) * 1_000).machine,
    from,
  );
}

const ready = () => after([tick, hello]);
const claimed = () => after([tick, hello, { type: "claim", claim }]);

describe("a machine before its attempt", () => {
  it("is recorded with what its launch says of it", () => {
    expect(booting()).toEqual({
      schema: 1,
      id: "mch_00000000000000000001",
      provider: "qemu",
      acceleration: "kvm",
      image: digest("a"),
      spec: digest("b"),
      launch: launch.id,
      createdAt: T0 - 10_000,
      launchedAt: T0,
      enrolled: null,
      deadline: T0 - 10_000 + machineLifeMs(RUN_MS),
      phase: "booting",
    });
  });

  it("is listened to from its first record on", () => {
    expect(decideMachine(booting(), tick, T0).effects).toEqual([{ type: "listen" }]);
  });

  it("is ready at its agent's first word", () => {
    expect(after([hello])).toMatchObject({ phase: "ready", readyAt: T0 + 1_000 });
    expect(after([hello, tick])).toMatchObject({ phase: "ready", readyAt: T0 + 1_000 });
  });

  it("has failed to launch when it ends while it boots, and not when it ends later", () => {
    expect(after([{ type: "vanished" }])).toMatchObject({ phase: "destroying", why: "launch_failed", claim: null });
    expect(after([hello, { type: "vanished" }])).toMatchObject({ phase: "destroying", why: "vanished" });
  });

  it("is destroyed when it does not boot in time, counted from when the provider named it", () => {
    const machine = booting();
    expect(decideMachine(machine, tick, T0 + limits.bootMs - 1).machine).toBe(machine);
    expect(decideMachine(machine, hello, T0 + limits.bootMs).machine).toMatchObject({
      phase: "destroying",
      why: "boot_deadline",
    });
  });

  it("has as long to boot as its launch says", () => {
    const slow = recordMachine({ id: booting().id, launch: { ...launch, bootMs: 300_000 }, now: T0 });
    expect(decideMachine(slow, tick, T0 + 299_999).machine).toBe(slow);
    expect(decideMachine(slow, hello, T0 + 300_000).machine).toMatchObject({ why: "boot_deadline", bootMs: 300_000 });
  });

  it("keeps what it was seen to have, so much of it, through every phase until it is gone", () => {
    const seen: MachineEvent = { type: "seen", parts: ["disk", "card"] };
    expect(after([seen, hello, { type: "claim", claim }, destroy, absent])).toMatchObject({ parts: ["disk", "card"] });
    const machine = after([seen]);
    expect(decideMachine(machine, seen, T0 + 2_000).machine).toBe(machine);
    const many = Array.from({ length: 1_000 }, (_, index) => `disk ${index}`);
    expect(after([destroy, { type: "seen", parts: many }]).parts).toHaveLength(PARTS_MAX);
    const gone = after([destroy, absent]);
    expect(decideMachine(gone, seen, T0 + 9_000).machine).toBe(gone);
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
    ["booting", []],
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
    const machine = { ...claimed(), heardAt: booting().deadline } as Machine;
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
      { type: "enrol", key: digest("c"), address: "192.0.2.1" },
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

  it.each(["unwanted", "outdated"] as const)("does not come from being %s once it is claimed", (why) => {
    expect(after([{ type: "destroy", why }], ready())).toMatchObject({ phase: "destroying", why });
    expect(after([{ type: "destroy", why }], claimed())).toEqual(claimed());
  });
});

describe("a machine's one key", () => {
  const enrol: MachineEvent = { type: "enrol", key: digest("c"), address: "192.0.2.1" };

  it.each<[string, () => Machine]>([
    ["booting", booting],
    ["ready", ready],
    ["claimed", claimed],
  ])("is taken once while it is %s, and the same again changes nothing", (phase, from) => {
    const machine = after([enrol], from());
    expect(machine).toMatchObject({ phase, enrolled: { key: digest("c"), address: "192.0.2.1" } });
    expect(after([enrol], machine)).toBe(machine);
    expect(after([hello, { type: "claim", claim }], machine)).toMatchObject({ enrolled: { key: digest("c") } });
  });

  it.each<[string, MachineEvent]>([
    ["another key", { ...enrol, key: digest("d") }],
    ["another address", { ...enrol, address: "192.0.2.2" }],
  ])("followed by %s ends it", (_what, second) => {
    expect(after([enrol, second])).toMatchObject({
      phase: "destroying",
      why: "enrolled_twice",
      enrolled: { key: digest("c"), address: "192.0.2.1" },
    });
    const { effects } = decideMachine(after([enrol], claimed()), second, T0 + 5_000);
    expect(effects).toEqual([{ type: "tell_run_lost", claim, why: "enrolled_twice" }, { type: "destroy" }]);
  });
});
