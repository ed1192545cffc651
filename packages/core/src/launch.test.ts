import { describe, expect, it } from "vitest";
import type { Digest, LaunchId, MachineId } from "./ids.ts";
import { decideLaunch, intendLaunch, type Launch, type LaunchEvent, type LaunchPlan } from "./launch.ts";
import { limits } from "./limits.ts";

const T0 = 1_700_000_000_000;
const RUN_MS = 600_000;
const id = "mch_00000000000000000001" as MachineId;
const digest = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const launched: LaunchEvent = { type: "launched", machines: [id], missing: [{ count: 1, reason: "no capacity" }] };

function intended(plan: LaunchPlan = { zone: "a" }): Launch {
  return intendLaunch({
    id: "lch_00000000000000000001" as LaunchId,
    provider: { name: "ec2", acceleration: "cloud", image: digest("a"), spec: digest("b") },
    count: 2,
    plan,
    now: T0,
    runMsMax: RUN_MS,
  });
}

describe("a launch", () => {
  it("has a deadline from the first: asking, booting, waiting, the longest run and its result", () => {
    const latestClaim = T0 + limits.bootMs + limits.bootMs + limits.idleMachineMs;
    expect(intended().deadline).toBe(latestClaim + RUN_MS + limits.resultMs + limits.machineGraceMs);
  });

  it("of a provider whose machines boot slowly has longer, and so have they", () => {
    const { id: launchId, count, plan } = intended();
    const provider = { name: "ec2", acceleration: "cloud", image: digest("a"), spec: digest("b") } as const;
    const slow = { ...provider, bootMs: limits.bootMs + 60_000 };
    const launch = intendLaunch({ id: launchId, provider: slow, count, plan, now: T0, runMsMax: RUN_MS });
    expect(launch.deadline).toBe(intended().deadline + 120_000);
    expect(decideLaunch(launch, { type: "tick" }, T0 + limits.bootMs + 59_999).launch).toBe(launch);
    expect(decideLaunch(launch, { type: "tick" }, T0 + limits.bootMs + 60_000).launch.phase).toBe("settled");
  });

  it("has a plan of a bounded size", () => {
    const rest = '{"zone":""}'.length;
    expect(intended({ zone: "x".repeat(limits.launchPlanCharsMax - rest) }).phase).toBe("intended");
    expect(() => intended({ zone: "x".repeat(limits.launchPlanCharsMax - rest + 1) })).toThrow(RangeError);
  });

  it("is asked for again and again until it is settled", () => {
    const { launch, effects } = decideLaunch(intended(), { type: "tick" }, T0 + limits.bootMs - 1);
    expect(launch).toEqual(intended());
    expect(effects).toEqual([{ type: "launch" }]);
  });

  it("settles with what was made and what was not, and never changes after that", () => {
    const { launch, effects } = decideLaunch(intended(), launched, T0 + 5);
    expect(launch).toEqual({
      ...intended(),
      phase: "settled",
      settledAt: T0 + 5,
      machines: [id],
      missing: [{ count: 1, reason: "no capacity" }],
      fault: null,
    });
    expect(effects).toEqual([]);
    for (const event of [launched, { type: "tick" }, { type: "failed", reason: "x" }] as const) {
      expect(decideLaunch(launch, event, T0 + 2 * limits.bootMs).launch).toBe(launch);
    }
  });

  it("that failed is settled with nothing, and with why", () => {
    expect(decideLaunch(intended(), { type: "failed", reason: "broken image" }, T0).launch).toMatchObject({
      phase: "settled",
      machines: [],
      missing: [{ count: 2, reason: "broken image" }],
      fault: "broken image",
    });
  });

  it("that nobody settles in time comes to nothing, whatever is said of it then", () => {
    const { launch, effects } = decideLaunch(intended(), launched, T0 + limits.bootMs);
    expect(launch).toMatchObject({ phase: "settled", machines: [], fault: "the provider did not answer in time" });
    expect(effects).toEqual([]);
  });
});
