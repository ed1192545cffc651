import type { LaunchId } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { absenceChecks, hasEnded, leftOf, listingLagMs, type Trace } from "./absence.ts";
import { instanceIdNumber, launchId, seenInstance, seenThing } from "./testing.fixture.ts";

const now = 1_800_000_000_000;
const instanceId = instanceIdNumber(1);
const other = instanceIdNumber(2);
const trace: Trace = {
  launch: launchId,
  volumes: new Set(["vol-1"]),
  interfaces: new Set(["eni-1"]),
  isWhole: false,
  unlistedSince: null,
};

describe("an instance has ended", () => {
  it.each([
    ["pending", false],
    ["running", false],
    ["stopping", false],
    ["stopped", false],
    ["shutting-down", false],
    ["terminated", true],
  ] as const)("when it is %s: %s", (state, ended) => {
    expect(hasEnded({ seen: seenInstance({ state }), trace, now: now + listingLagMs })).toBe(ended);
  });

  it("no sooner than the listings must show what it had", () => {
    const seen = seenInstance({ state: "terminated", launchedAt: now });
    expect(hasEnded({ seen, trace, now: now + listingLagMs - 1 })).toBe(false);
    expect(hasEnded({ seen, trace, now: now + listingLagMs })).toBe(true);
  });

  it("when it is missing for longer than a new one may be", () => {
    const missing = { ...trace, unlistedSince: now };
    expect(hasEnded({ seen: undefined, trace: missing, now: now + listingLagMs - 1 })).toBe(false);
    expect(hasEnded({ seen: undefined, trace: missing, now: now + listingLagMs })).toBe(true);
    expect(hasEnded({ seen: undefined, trace, now: now + listingLagMs })).toBe(false);
  });
});

describe("what is left of an instance", () => {
  it("is what is attached to it, also in a state that nobody expected", () => {
    const attached = seenThing({ id: "vol-9", attachedTo: [instanceId], loose: false, launch: null });
    expect(leftOf(instanceId, trace, [attached])).toEqual([attached]);
  });

  it("is what was attached to it while it lived, though EC2 no longer says so", () => {
    const known = [seenThing({ launch: null }), seenThing({ kind: "network interface", id: "eni-1", loose: false })];
    expect(leftOf(instanceId, trace, known)).toEqual(known);
  });

  it("is what its launch left behind and nobody holds, if nobody saw what it had while it lived", () => {
    const orphan = seenThing({ id: "vol-9" });
    expect(leftOf(instanceId, { ...trace, volumes: new Set() }, [orphan])).toEqual([orphan]);
    expect(leftOf(instanceId, trace, [orphan])).toEqual([]);
  });

  it("is not what another machine holds, nor what another launch left", () => {
    const things = [
      seenThing({ id: "vol-8", attachedTo: [other], loose: false }),
      seenThing({ id: "vol-9", launch: "lch_01kb9zq3r8a1b2c3d4e6" as LaunchId }),
      seenThing({ id: "eni-1", launch: null }),
    ];
    expect(leftOf(instanceId, trace, things)).toEqual([]);
  });
});

describe("the evidence", () => {
  it("names every thing that was looked for", () => {
    const checks = absenceChecks({ instanceId, ended: true, lives: null, trace, things: [] });
    expect(checks).toEqual(
      [
        `instance ${instanceId}`,
        `volumes attached to instance ${instanceId}`,
        "volume vol-1",
        `network interfaces attached to instance ${instanceId}`,
        "network interface eni-1",
      ].map((what) => ({ what, absent: true })),
    );
  });

  it("claims no look among everything where each thing that there was is known and looked for", () => {
    const whole = { ...trace, isWhole: true };
    const checks = absenceChecks({ instanceId, ended: true, lives: null, trace: whole, things: [] });
    const what = [`instance ${instanceId}`, "volume vol-1", "network interface eni-1"];
    expect(checks).toEqual(what.map((one) => ({ what: one, absent: true })));
    const left = absenceChecks({ instanceId, ended: true, lives: null, trace: whole, things: [seenThing()] });
    expect(left).toContainEqual({ what: "volume vol-1", absent: false });
  });

  it("names the launch where nobody saw what the instance had", () => {
    const unknown = { ...trace, volumes: new Set<string>(), interfaces: new Set<string>() };
    const checks = absenceChecks({ instanceId, ended: true, lives: null, trace: unknown, things: [] });
    expect(checks.map(({ what }) => what)).toEqual([
      `instance ${instanceId}`,
      `volumes attached to instance ${instanceId}`,
      `volumes of launch ${launchId} attached to nothing`,
      `network interfaces attached to instance ${instanceId}`,
      `network interfaces of launch ${launchId} attached to nothing`,
    ]);
  });

  it.each([true, false])("says of an instance that is not listed what was found by its id: %s", (lives) => {
    expect(absenceChecks({ instanceId, ended: !lives, lives, trace, things: null })).toEqual([
      { what: `instance ${instanceId}`, absent: !lives },
      { what: `instance ${instanceId} by its id`, absent: !lives },
      ...(lives ? [] : [{ what: `what instance ${instanceId} had, not looked at yet`, absent: false }]),
    ]);
  });

  it("is none while the instance lives, whatever became of the rest", () => {
    expect(absenceChecks({ instanceId, ended: false, lives: null, trace, things: null })).toEqual([
      { what: `instance ${instanceId}`, absent: false },
    ]);
  });

  it.each([
    ["a known volume", seenThing({ launch: null })],
    ["a known interface", seenThing({ kind: "network interface", id: "eni-1", launch: null, loose: false })],
    ["something attached", seenThing({ id: "vol-9", attachedTo: [instanceId], loose: false, launch: null })],
    ["an orphan of the launch", seenThing({ kind: "network interface", id: "eni-9" })],
  ])("is none while there is %s", (_name, thing) => {
    const unseen = { ...trace, interfaces: thing.id === "eni-9" ? new Set<string>() : trace.interfaces };
    const checks = absenceChecks({ instanceId, ended: true, lives: null, trace: unseen, things: [thing] });
    expect(checks.filter(({ absent }) => !absent).map(({ what }) => what)).toContain(`${thing.kind} ${thing.id}`);
  });
});
