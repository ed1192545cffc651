import { describe, expect, it } from "vitest";
import { bootMsOf, dayOf, failuresOf, launchedIn, machineMsOf, stillMissing } from "./fleet-history.ts";
import { launchOf, machineOf, NOW, runOf } from "./fleet.fixture.ts";
import type { Launch } from "./launch.ts";
import { decideMachine, type DestroyReason, type Machine } from "./machine.ts";

const MINUTE = 60_000;

/** A launch so many minutes ago, and what became of its one machine. */
function past(digit: string, minutes: number, end: DestroyReason | "up" | "booting" | { fault: string }) {
  const createdAt = NOW - minutes * MINUTE;
  if (typeof end === "object") {
    return { launch: launchOf(digit, { createdAt, settled: { machines: [], at: createdAt, ...end } }), machines: [] };
  }
  const launch = launchOf(digit, { createdAt });
  const isUp = end === "up";
  const machine = machineOf(digit, {
    launch,
    launchedAt: createdAt,
    isReady: isUp,
    ...(end === "booting" || isUp ? {} : { end: { why: end, goneAt: createdAt + 5_000 } }),
  });
  return { launch: launchOf(digit, { createdAt, settled: { machines: [machine] } }), machines: [machine] };
}

function failures(...all: { launch: Launch; machines: Machine[] }[]) {
  return failuresOf(
    all.map(({ launch }) => launch),
    all.flatMap(({ machines }) => machines),
  );
}

describe("launches that failed in a row", () => {
  it("are none at first, nor where the last machine came up", () => {
    expect(failures().inARow).toBe(0);
    expect(failures(past("1", 9, { fault: "x" }), past("2", 8, "up")).inARow).toBe(0);
    expect(failures(past("1", 9, { fault: "x" }), past("2", 8, "attempt_ended")).inARow).toBe(0);
  });

  it("are those with a fault, and those whose machine never said a word, since the last that came up", () => {
    const all = [
      past("1", 9, "up"),
      past("2", 8, "launch_failed"),
      past("3", 7, "boot_deadline"),
      past("4", 6, { fault: "no such image" }),
    ];
    expect(failures(...all.toReversed())).toEqual({ inARow: 3, at: NOW - 6 * MINUTE, fault: "no such image" });
    expect(failures(...all.slice(0, 3))).toEqual({
      inARow: 2,
      at: NOW - 7 * MINUTE + 5_000,
      fault: "the machine did not boot in time",
    });
  });

  it("leave out what is not known yet, and what was given no capacity", () => {
    const open = { launch: launchOf("4", { createdAt: NOW }), machines: [] };
    const nothing = { launch: launchOf("3", { createdAt: NOW, settled: { machines: [] } }), machines: [] };
    expect(failures(past("1", 9, "launch_failed"), past("2", 8, "booting"), nothing, open).inARow).toBe(1);
  });

  it("count as one where they were made before the first of them was known to fail", () => {
    const at = NOW - 5 * MINUTE;
    const five = ["1", "2", "3", "4", "5"].map((digit, index) => ({
      launch: launchOf(digit, { createdAt: NOW - 6 * MINUTE, settled: { machines: [], at: at + index, fault: "x" } }),
      machines: [],
    }));
    expect(failures(...five)).toEqual({ inARow: 1, at: at + 4, fault: "x" });
    expect(failures(...five, past("6", 4, { fault: "y" }))).toMatchObject({ inARow: 2, fault: "y" });
  });

  it("are not made fewer by a machine that was there all the while and then failed too", () => {
    const machine = machineOf("1", {
      launchedAt: NOW - 9 * MINUTE,
      isReady: true,
      end: { why: "vanished", goneAt: NOW },
    });
    const long = {
      launch: launchOf("1", { createdAt: NOW - 9 * MINUTE, settled: { machines: [machine] } }),
      machines: [machine],
    };
    expect(failures(long, past("2", 8, { fault: "x" }), past("3", 7, { fault: "x" }))).toEqual({
      inARow: 2,
      at: NOW,
      fault: "the machine ended before it served anybody",
    });
  });

  it("are also those whose machine booted and ended before it served anybody", () => {
    expect(failures(past("1", 9, "vanished"), past("2", 8, "silent"))).toEqual({
      inARow: 2,
      at: NOW - 8 * MINUTE + 5_000,
      fault: "the machine ended before it served anybody",
    });
    const run = runOf("3", 7);
    const served = machineOf("3", { claim: { run }, end: { why: "silent", goneAt: NOW } });
    const launch = launchOf("3", { settled: { machines: [served] } });
    expect(failures(past("1", 9, "vanished"), { launch, machines: [served] }).inARow).toBe(0);
    expect(failures(past("1", 9, "vanished"), past("2", 8, "idle")).inARow).toBe(0);
  });

  it("go on after such an end though the next has booted, until that has lasted a while, or serves", () => {
    const up = past("2", 3, "up");
    expect(failures(past("1", 9, "vanished"), up).inARow).toBe(1);
    const later = up.machines.map((machine) => decideMachine(machine, { type: "adopt" }, NOW).machine);
    expect(failures(past("1", 9, "vanished"), { ...up, machines: later }).inARow).toBe(0);
    const claimed = machineOf("2", { launchedAt: NOW - 3 * MINUTE, claim: { run: runOf("2", 7) } });
    expect(failures(past("1", 9, "vanished"), { ...up, machines: [claimed] }).inARow).toBe(0);
  });

  it("end with a launch of which one machine came up", () => {
    const launch = launchOf("1", { count: 2 });
    const up = machineOf("1", { launch, isReady: true });
    const dead = machineOf("2", { launch, end: { why: "boot_deadline", goneAt: NOW } });
    const settled = launchOf("1", { count: 2, settled: { machines: [dead, up] } });
    expect(failuresOf([settled], [dead, up]).inARow).toBe(0);
    expect(failuresOf([settled], [dead]).inARow).toBe(1);
  });
});

describe("the launches of an hour", () => {
  it("count what was asked for while nobody knows, and what was made afterwards", () => {
    const made = machineOf("2");
    const launches = [
      launchOf("1", { count: 5 }),
      launchOf("2", { count: 5, settled: { machines: [made] } }),
      launchOf("3", { count: 5, createdAt: NOW - 60 * MINUTE }),
    ];
    expect(launchedIn(launches, NOW - 60 * MINUTE)).toBe(6);
    expect(launchedIn(launches, NOW - 60 * MINUTE - 1)).toBe(11);
  });

  it("count all of one that ended with a fault: it may have made them", () => {
    expect(launchedIn([launchOf("1", { count: 5, settled: { machines: [], fault: "late" } })], NOW - 1)).toBe(5);
  });
});

describe("the machine time of a day", () => {
  const life = launchOf("1").deadline - NOW;

  it("is from the launch until it is gone, in whole minutes", () => {
    const gone = machineOf("1", { launchedAt: NOW - 10 * MINUTE, end: { why: "idle", goneAt: NOW - 5 * MINUTE + 1 } });
    expect(machineMsOf([], [gone], NOW)).toBe(6 * MINUTE);
  });

  it("is promised up to the deadline for what is not gone or only asked for, once for each machine", () => {
    const launch = launchOf("1", { count: 3 });
    const machine = machineOf("1", { launch });
    expect(machineMsOf([], [machine], NOW)).toBe(life);
    expect(machineMsOf([launch], [machine], NOW)).toBe(3 * life);
    expect(stillMissing(launch, [machine])).toBe(2);
    expect(stillMissing(launchOf("1", { settled: { machines: [machine] } }), [machine])).toBe(0);
  });

  it("goes on past the deadline of a machine that is not gone, and begins with its launch", () => {
    const launch = launchOf("1", { createdAt: NOW - life - 7 * MINUTE });
    const resisting = machineOf("1", { launch, launchedAt: NOW - life - 6 * MINUTE, isReady: true });
    expect(machineMsOf([], [resisting], NOW)).toBe(life + 7 * MINUTE);
    const gone = machineOf("1", { launch, launchedAt: NOW - MINUTE, end: { why: "idle", goneAt: NOW } });
    expect(machineMsOf([], [gone], NOW)).toBe(life + 7 * MINUTE);
  });

  it("leaves yesterday's and tomorrow's parts to those days", () => {
    const day = dayOf(NOW);
    expect(day).toEqual({ from: Date.UTC(2026, 0, 5), to: Date.UTC(2026, 0, 6) });
    const overnight = machineOf("1", {
      launchedAt: day.from - 10 * MINUTE,
      end: { why: "idle", goneAt: day.from + 7 * MINUTE },
    });
    const yesterday = machineOf("2", {
      launchedAt: day.from - 10 * MINUTE,
      end: { why: "idle", goneAt: day.from - 1 },
    });
    const late = machineOf("3", { launchedAt: day.to - 4 * MINUTE });
    expect(machineMsOf([], [overnight, yesterday, late], NOW)).toBe(11 * MINUTE);
  });
});

describe("the time to boot", () => {
  it("is that of the machines that are up, from their launch's intent", () => {
    const launch = launchOf("1", { createdAt: NOW - 30_000 });
    const ready = machineOf("1", { launch, isReady: true });
    const claimed = machineOf("2", { claim: { run: runOf("2", 7) } });
    expect(bootMsOf([ready, claimed, machineOf("3")])).toBe(15_000);
    expect(bootMsOf([machineOf("3")])).toBeNull();
  });
});
