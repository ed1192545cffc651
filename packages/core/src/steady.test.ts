import { describe, expect, it } from "vitest";
import { decideMachine } from "./machine.ts";
import { launchOf, machineOf, NOW, runOf, SPEC } from "./fleet.fixture.ts";
import { lastShortfall } from "./fleet-history.ts";
import { type FleetFacts, type FleetPlan, type FleetSettings, planFleet, waitingReasons } from "./fleet-plan.ts";
import type { Run } from "./run.ts";
import { mayServe } from "./steady.ts";

const MINUTE = 60_000;
const settings: FleetSettings = {
  machinesMax: 10,
  machinesPerInstallationMax: null,
  launchesPerHourMax: 100,
  money: null,
  warm: 0,
  warmMax: 0,
  warmSchedule: [],
  runMsMax: MINUTE,
};

/** A run that waits after AWS took its machine back. */
function bereft(digit: string): Run {
  const run = runOf(digit, 7);
  return { ...run, epoch: 1, takenBack: { machine: machineOf(digit).id, epoch: 1, at: NOW } };
}

const spot = (digit: string, isReady = true) =>
  machineOf(digit, { launch: launchOf(digit, { interruptible: true }), isReady });
const steady = (digit: string, isReady = true) => machineOf(digit, { isReady });

function plan(facts: Partial<FleetFacts>, overrides: Partial<FleetSettings> = {}): FleetPlan {
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
    bootBoundMs: 2 * MINUTE,
  };
  return planFleet({ ...none, ...facts }, { ...settings, ...overrides }, NOW);
}

const drained = (made: FleetPlan) => made.drain.map(({ id }) => id);

describe("a run whose machine was taken back", () => {
  it("may have what is not taken back, and other runs anything", () => {
    expect(mayServe(spot("1"), bereft("1"))).toBe(false);
    expect(mayServe(steady("1"), bereft("1"))).toBe(true);
    expect(mayServe(spot("1"), runOf("1", 7))).toBe(true);
  });

  it("is launched a machine for though a spot one is free, which is not kept for nobody", () => {
    const made = plan({ runs: [bereft("1")], machines: [spot("2")] });
    expect(made).toMatchObject({ launch: 1, launchSteady: 1 });
    expect(drained(made)).toEqual([spot("2").id]);
  });

  it("is launched one only once", () => {
    const launch = launchOf("2");
    expect(plan({ runs: [bereft("1")], launches: [launch] })).toMatchObject({ launch: 0, comingSteady: 1, drain: [] });
    expect(plan({ runs: [bereft("1")], machines: [steady("2", false)] })).toMatchObject({ launch: 0, drain: [] });
    const interruptible = launchOf("2", { interruptible: true });
    expect(plan({ runs: [bereft("1")], launches: [interruptible] })).toMatchObject({ launch: 1, launchSteady: 1 });
  });

  it("leaves spot machines to the others in line, and to those kept warm", () => {
    const runs = [bereft("1"), runOf("2", 7)];
    expect(plan({ runs, machines: [spot("3")] })).toMatchObject({ launch: 1, launchSteady: 1, drain: [] });
    expect(plan({ runs })).toMatchObject({ launch: 2, launchSteady: 1 });
    expect(plan({ runs: [bereft("1")], machines: [spot("3")] }, { warm: 1 })).toMatchObject({
      launch: 1,
      launchSteady: 1,
      drain: [],
    });
  });

  it("keeps its machine when another is to be drained, whichever is newer", () => {
    const old = machineOf("2", {
      launch: launchOf("2", { interruptible: true, createdAt: NOW - MINUTE }),
      isReady: true,
    });
    expect(drained(plan({ runs: [bereft("1")], machines: [steady("3"), old] }))).toEqual([old.id]);
    expect(drained(plan({ runs: [bereft("1")], machines: [steady("3"), spot("4", false)] }))).toEqual([]);
  });

  it("is given room by a warm spot machine where there is room for one alone", () => {
    const facts = { runs: [bereft("1")], machines: [spot("2")] };
    const full = plan(facts, { warm: 1, machinesMax: 1 });
    expect(full.launch).toBe(0);
    expect(drained(full)).toEqual([spot("2").id]);
    // An hour's most is made no larger by ending machines.
    expect(drained(plan(facts, { warm: 1, launchesPerHourMax: 0 }))).toEqual([]);
    expect(plan({ runs: [bereft("1")] }, { warm: 1, machinesMax: 1 })).toMatchObject({ launch: 1, launchSteady: 1 });
  });

  it("is told that it waits for an on-demand machine, and others what they wait for", () => {
    const made = plan({ runs: [bereft("1"), bereft("2"), runOf("3", 7)], machines: [steady("4", false)] });
    const words = waitingReasons(made, settings, {
      steady: { launched: 0, shortage: "waiting for on-demand capacity at AWS" },
      rest: { launched: 1, shortage: null },
      heldUp: null,
      lacking: null,
    });
    expect(words.map(({ reason }) => reason)).toEqual([
      "an on-demand machine, which is booting",
      "an on-demand machine: number 1 in line; waiting for on-demand capacity at AWS",
      "a machine, which is booting",
    ]);
  });
});

describe("a machine that may be taken back", () => {
  it("is known as such to its end", () => {
    let machine = spot("1");
    for (const event of [
      { type: "claim", claim: { run: runOf("1", 7).id, epoch: 1 } },
      { type: "destroy", why: "taken_back" },
      { type: "absent", evidence: { at: NOW, checks: [{ what: "instance", absent: true }] } },
    ] as const) {
      machine = decideMachine(machine, event, NOW).machine;
      expect(machine.interruptible).toBe(true);
    }
    expect(machine).toMatchObject({ phase: "gone", why: "taken_back" });
    expect(steady("1").interruptible).toBeUndefined();
  });
});

describe("what runs are told of launches that do not come", () => {
  const two = { runs: [runOf("1", 7), runOf("2", 7)] };
  const told = (facts: Partial<FleetFacts>, heldUp: string | null, lacking: string | null) =>
    waitingReasons(plan(facts), settings, {
      steady: { launched: 0, shortage: null },
      rest: { launched: 0, shortage: null },
      heldUp,
      lacking,
    }).map(({ reason }) => reason);

  it("is what holds them up, and only for those without a machine that boots", () => {
    const facts = { ...two, machines: [steady("3", false)], launches: [launchOf("4")] };
    expect(told(facts, "AWS, which asked for fewer launches", null)).toEqual([
      "a machine, which is booting",
      "a machine, which is asked for; waiting for AWS, which asked for fewer launches",
    ]);
  });

  it("is what the provider lacked when it was asked last", () => {
    const lacking = "no capacity for m7i.large (spot) in zone a";
    expect(told({ ...two, launches: [launchOf("4")] }, null, lacking)).toEqual([
      `a machine, which is asked for again; ${lacking}`,
      `a machine: number 1 in line; ${lacking}`,
    ]);
  });

  it("is known from the last launch that was answered, for some minutes", () => {
    const short = (digit: string, at: number) =>
      launchOf(digit, { createdAt: at, settled: { machines: [], at, lacking: `no capacity ${digit}` } });
    const whole = launchOf("3", { createdAt: NOW + 2, settled: { machines: [steady("3")], at: NOW + 2 } });
    const failed = launchOf("4", { createdAt: NOW + 3, settled: { machines: [], at: NOW + 3, fault: "arn:example" } });
    expect(lastShortfall([short("2", NOW + 1), short("1", NOW), failed, launchOf("5")], NOW + 4)).toBe("no capacity 2");
    expect(lastShortfall([short("2", NOW + 1), whole], NOW + 4)).toBeNull();
    expect(lastShortfall([short("1", NOW)], NOW + 5 * MINUTE - 1)).toBe("no capacity 1");
    expect(lastShortfall([short("1", NOW)], NOW + 5 * MINUTE)).toBeNull();
    expect(lastShortfall([], NOW)).toBeNull();
  });
});
