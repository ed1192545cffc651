import { describe, expect, it } from "vitest";
import { digestOf, launchOf, machineOf, NOW, OLD_SPEC, runOf, SPEC } from "./fleet.fixture.ts";
import { limits } from "./limits.ts";
import {
  type FleetFacts,
  type FleetPlan,
  type FleetSettings,
  planFleet,
  type PlanProgress,
  waitingReasons,
} from "./fleet-plan.ts";
import type { Machine } from "./machine.ts";
import { readWarmPeriod, type WarmPeriod } from "./warm-schedule.ts";

const MINUTE = 60_000;
const settings: FleetSettings = {
  machinesMax: 10,
  machinesPerInstallationMax: null,
  launchesPerHourMax: 100,
  money: null,
  warm: 0,
  warmMax: 0,
  warmSchedule: [],
  runMsMax: 60_000,
};
const none: FleetFacts = {
  runs: [],
  machines: [],
  launches: [],
  strangers: 0,
  spec: SPEC,
  history: { launches: [], machines: [] },
  failures: { inARow: 0, at: 0, fault: "" },
  arrivalsPerMinute: 0,
  bootMs: MINUTE,
  bootBoundMs: limits.bootMs,
};
const queued = (count: number, installation = 7) =>
  Array.from({ length: count }, (_, index) => runOf(String(index + 1), installation));
const plan = (facts: Partial<FleetFacts>, overrides: Partial<FleetSettings> = {}, now = NOW) =>
  planFleet({ ...none, ...facts }, { ...settings, ...overrides }, now);
/** What the runs are told when so many of what was planned were launched. */
function told(
  made: FleetPlan,
  launched: number,
  shortage: string | null,
  overrides: Partial<FleetSettings & Pick<PlanProgress, "heldUp" | "lacking">> = {},
): string[] {
  const { heldUp = null, lacking = null, ...others } = overrides;
  const steady = { launched: Math.min(launched, made.launchSteady), shortage };
  const rest = { launched: launched - steady.launched, shortage };
  return waitingReasons(made, { ...settings, ...others }, { steady, rest, heldUp, lacking }).map(
    ({ reason }) => reason,
  );
}

/** What the runs are told when everything planned was launched. */
function reasons(facts: Partial<FleetFacts>, overrides: Partial<FleetSettings> = {}, now = NOW): string[] {
  const made = plan(facts, overrides, now);
  return told(made, made.launch, made.shortage, overrides);
}

describe("what a fleet launches", () => {
  it("is one machine for each run that waits, less those that are free, booting or asked for", () => {
    expect(plan({ runs: queued(5) }).launch).toBe(5);
    const machines = [machineOf("1", { isReady: true }), machineOf("2")];
    expect(plan({ runs: queued(5), machines, launches: [launchOf("3", { count: 2 })] })).toMatchObject({
      launch: 1,
      coming: 4,
      drain: [],
    });
  });

  it("does not count a machine of an open launch twice", () => {
    const launch = launchOf("1", { count: 3 });
    expect(plan({ runs: queued(5), machines: [machineOf("1", { launch })], launches: [launch] })).toMatchObject({
      launch: 2,
      coming: 3,
    });
  });

  it("is nothing for machines that are at work", () => {
    const busy = runOf("9", 7, "running");
    expect(plan({ runs: [busy], machines: [machineOf("9", { claim: { run: busy } })] })).toMatchObject({ launch: 0 });
  });

  it("keeps the most of what is always kept, what the schedule says, and what comes while a machine boots", () => {
    expect(plan({}, { warm: 2 }).launch).toBe(2);
    const warmSchedule = [readWarmPeriod("mon 11:00-13:00 3") as WarmPeriod];
    expect(plan({}, { warm: 2, warmSchedule }).launch).toBe(3);
    expect(plan({}, { warm: 2, warmSchedule }, NOW + 60 * MINUTE).launch).toBe(2);
    const busy = { arrivalsPerMinute: 2.1, bootMs: 2 * MINUTE };
    expect(plan(busy, { warm: 2, warmMax: 9 }).launch).toBe(5);
    expect(plan(busy, { warm: 2, warmMax: 4 }).launch).toBe(4);
    expect(plan(busy).launch).toBe(0);
    expect(plan({ runs: queued(2) }, { warm: 2 }).launch).toBe(4);
  });
});

describe("a warm machine that is about to wait no longer", () => {
  const aged = (leftMs: number) =>
    [1, 2].map((digit) => machineOf(String(digit), { launchedAt: NOW - limits.idleMachineMs + leftMs, isReady: true }));

  it("is replaced before it ends, so early that the next has booted", () => {
    expect(plan({ machines: aged(2 * MINUTE + 1) }, { warm: 2 }).launch).toBe(0);
    expect(plan({ machines: aged(2 * MINUTE) }, { warm: 2 })).toMatchObject({ launch: 2, drain: [] });
    const replaced = [...aged(MINUTE), machineOf("3"), machineOf("4", { isReady: true })];
    expect(plan({ machines: replaced }, { warm: 2 })).toMatchObject({ launch: 0, drain: [] });
  });

  it("serves a run that waits all the same", () => {
    expect(plan({ runs: queued(1), machines: aged(MINUTE) })).toMatchObject({ launch: 0, coming: 2 });
    expect(plan({ runs: queued(1), machines: aged(MINUTE) }, { warm: 1 }).launch).toBe(1);
    expect(reasons({ runs: queued(2), machines: aged(MINUTE) })).toEqual([
      "a machine, which is booting",
      "a machine, which is booting",
    ]);
  });
});

describe("what a fleet drains", () => {
  it("is what waits and is not wanted, and nothing that boots or is at work", () => {
    const busy = runOf("9", 7, "running");
    const machines = [
      machineOf("1", { isReady: true }),
      machineOf("2", { isReady: true }),
      machineOf("3"),
      machineOf("9", { claim: { run: busy } }),
    ];
    expect(plan({ runs: [busy], machines }, { warm: 2 }).drain).toEqual([{ id: machines[0]?.id, why: "unwanted" }]);
    expect(plan({ runs: [busy], machines }).drain).toHaveLength(2);
    expect(plan({ runs: [busy], machines }, { warm: 4 }).drain).toEqual([]);
  });

  it("is the newest of those that wait, which have been well for the shortest", () => {
    const machines = [1, 2, 3].map((digit) =>
      machineOf(String(digit), { launchedAt: NOW - (4 - digit) * MINUTE, isReady: true }),
    );
    expect(plan({ machines }, { warm: 1 }).drain.map(({ id }) => id)).toEqual([machines[2]?.id, machines[1]?.id]);
  });

  it("is every waiting machine of another spec, for which a new one is launched", () => {
    const busy = runOf("9", 7, "running");
    const machines = [
      machineOf("1", { isReady: true, spec: OLD_SPEC }),
      machineOf("2", { spec: OLD_SPEC }),
      machineOf("9", { spec: OLD_SPEC, claim: { run: busy } }),
    ];
    expect(plan({ runs: [busy], machines }, { warm: 1 })).toMatchObject({
      launch: 1,
      drain: [{ id: machines[0]?.id, why: "outdated" }],
    });
    expect(plan({ launches: [launchOf("3", { spec: digestOf("d") })] }, { warm: 1 }).launch).toBe(1);
  });
});

describe("a cap", () => {
  it("of machines counts those at work, of any spec, asked for, and of nobody", () => {
    const busy = runOf("9", 7, "running");
    const machines = [
      machineOf("8", { spec: OLD_SPEC, isReady: true }),
      machineOf("9", { claim: { run: busy } }),
      machineOf("7", { end: { why: "idle", goneAt: null } }),
    ];
    const facts = { runs: [busy, ...queued(9)], machines, launches: [launchOf("5", { count: 2 })], strangers: 1 };
    expect(plan(facts).launch).toBe(4);
    expect(plan(facts, { machinesMax: 6 })).toMatchObject({ launch: 0, shortage: "all machines are at work" });
    expect(plan(facts, { machinesMax: 1 }).launch).toBe(0);
  });

  it("of an installation holds its further runs back, and says so to each", () => {
    const facts = { runs: [runOf("8", 7, "running"), ...queued(2), runOf("9", 8)] };
    expect(plan(facts, { machinesPerInstallationMax: 2 })).toMatchObject({ launch: 2 });
    expect(reasons(facts, { machinesPerInstallationMax: 2 })).toEqual([
      "a machine, which is booting",
      "a machine, which is booting",
      "a machine: this installation has the most it may have at once (2)",
    ]);
  });

  it("of an hour counts what was launched and asked for in it, and not what is longer ago", () => {
    const launches = [launchOf("1", { count: 3 }), launchOf("2", { count: 90, createdAt: NOW - 60 * MINUTE })];
    const facts = { runs: queued(9), history: { launches, machines: [] } };
    expect(plan(facts, { launchesPerHourMax: 5 }).launch).toBe(2);
    expect(plan(facts, { launchesPerHourMax: 3 })).toMatchObject({
      launch: 0,
      shortage: "the most launches of an hour are reached (3)",
    });
  });

  it("of money pays each machine up to its deadline before it is launched", () => {
    const hours = (launchOf("1").deadline - NOW) / (60 * MINUTE);
    const money = { perHour: 2, asOf: "2026-01-01", perDayMax: 2 * hours * 3 + 0.01 };
    expect(plan({ runs: queued(9) }, { money }).launch).toBe(3);
    const running = [machineOf("1"), machineOf("2")];
    expect(plan({ runs: queued(9), history: { launches: [], machines: running } }, { money }).launch).toBe(1);
    const gone = running.map((_, index) =>
      machineOf(String(index), { launchedAt: NOW - 2 * MINUTE, end: { why: "idle", goneAt: NOW - MINUTE } }),
    );
    expect(plan({ runs: queued(9), history: { launches: [], machines: gone } }, { money }).launch).toBe(2);
    expect(plan({ runs: queued(9) }, { money: { ...money, perDayMax: 0 } })).toMatchObject({
      launch: 0,
      shortage: "the day's money for machines is spent or promised (0 US dollars, by the price of 2026-01-01)",
    });
    expect(plan({ runs: queued(9) }, { money: { ...money, perHour: 0, perDayMax: 0 } }).launch).toBe(9);
  });

  it("of money leaves tomorrow what tomorrow's part of each machine costs", () => {
    const midnight = Date.UTC(2026, 0, 6);
    const late = midnight - 2 * MINUTE;
    const money = { perHour: 1, asOf: "2026-01-01", perDayMax: 1 };
    // 38 minutes each: 2 of them today, 36 of tomorrow's 60.
    expect(plan({ runs: queued(9) }, { money }, late).launch).toBe(1);
    const one = machineOf("1", { launchedAt: late });
    expect(plan({ runs: queued(9), history: { launches: [], machines: [one] } }, { money }, late).launch).toBe(0);
    const gone = machineOf("1", { launchedAt: late, end: { why: "idle", goneAt: late + MINUTE } });
    expect(plan({ runs: queued(9), history: { launches: [], machines: [gone] } }, { money }, late).launch).toBe(1);
    const life = launchOf("1").deadline - NOW;
    expect(plan({ runs: queued(9) }, { money: { ...money, perDayMax: 2 } }, midnight - life).launch).toBe(3);
  });

  it("of money lets nothing through that it cannot add up", () => {
    const money = { perHour: 1, asOf: "2026-01-01", perDayMax: 100 };
    const unreadable = { ...machineOf("1"), deadline: undefined } as unknown as Machine;
    expect(plan({ runs: queued(2), history: { launches: [], machines: [unreadable] } }, { money })).toMatchObject({
      launch: 0,
      shortage: expect.stringContaining("the day's money"),
    });
  });

  it("of machines counts what a launch without an answer may have made, until the listing must show it", () => {
    const createdAt = NOW - limits.bootMs;
    const silent = launchOf("1", { count: 4, createdAt, settled: { machines: [], at: NOW, fault: "late" } });
    const history = { launches: [silent], machines: [] };
    const launches = (afterMs: number, more: Partial<FleetFacts> = {}) =>
      plan({ runs: queued(9), history, ...more }, {}, NOW + afterMs).launch;
    expect([launches(0), launches(MINUTE), launches(MINUTE + 1)]).toEqual([6, 6, 9]);
    expect(launches(0, { machines: [machineOf("9", { launch: silent })] })).toBe(6);
    const refused = launchOf("1", { count: 4, settled: { machines: [], fault: "no such image" } });
    expect(launches(0, { history: { launches: [refused], machines: [] } })).toBe(9);
  });

  it("that cannot be checked lets nothing through", () => {
    for (const unknown of [{ history: null }, { strangers: null }]) {
      expect(plan({ runs: queued(2), ...unknown }, { warm: 1 }).launch).toBe(0);
      expect(reasons({ runs: queued(1), ...unknown })).toEqual([
        "a machine: number 1 in line; the machines cannot be counted",
      ]);
    }
  });
});

describe("after failed launches", () => {
  const failed = (inARow: number) => ({ inARow, at: NOW, fault: "broken" });
  const launches = (inARow: number, afterMs: number) =>
    plan({ runs: queued(3), failures: failed(inARow) }, {}, NOW + afterMs).launch;

  it("the next waits twice as long each time", () => {
    expect([launches(1, 1_999), launches(1, 2_000)]).toEqual([0, 3]);
    expect([launches(4, 15_999), launches(4, 16_000)]).toEqual([0, 3]);
  });

  it("five in a row leave one every five minutes, and every run that waits says so", () => {
    expect([launches(5, 5 * MINUTE - 1), launches(5, 5 * MINUTE), launches(50, 5 * MINUTE)]).toEqual([0, 1, 1]);
    expect(plan({ failures: failed(4) }).stopped).toBe(false);
    expect(plan({ failures: failed(5) }).stopped).toBe(true);
    const facts = { runs: queued(2), failures: failed(5) };
    const why = "the last 5 launches failed, so that one is tried every 5 minutes";
    expect(reasons(facts)).toEqual([`a machine: number 1 in line; ${why}`, `a machine: number 2 in line; ${why}`]);
    expect(reasons(facts, {}, NOW + 5 * MINUTE)).toEqual([
      "a machine, which is booting",
      `a machine: number 1 in line; ${why}`,
    ]);
  });
});

describe("what a run waits for", () => {
  it("is nobody's business before its source is there", () => {
    expect(
      reasons({ runs: [{ ...runOf("1", 7), phase: "queued", since: NOW, source: null, waitingFor: "" }] }),
    ).toEqual([]);
  });

  it("is its place in line, and what the provider itself waits for", () => {
    const made = plan({ runs: queued(2) });
    expect(told(made, 1, "no capacity in zone a")).toEqual([
      "a machine, which is booting",
      "a machine: number 1 in line; no capacity in zone a",
    ]);
  });
});
