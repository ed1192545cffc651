import { describe, expect, it } from "vitest";
import { enrolmentRefusals, EnrolRequest, isPin, judgeEnrolled } from "./enrolment.ts";
import type { Digest, LaunchId, MachineId } from "./ids.ts";
import type { Machine } from "./machine.ts";

const digest = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const enrolled = { key: digest("a"), address: "10.0.0.1" };
const machine: Machine = {
  schema: 1,
  id: `mch_${"0".repeat(20)}` as MachineId,
  provider: "ec2",
  acceleration: "cloud",
  image: digest("0"),
  spec: digest("0"),
  launch: `lch_${"0".repeat(20)}` as LaunchId,
  createdAt: 0,
  launchedAt: 0,
  enrolled,
  deadline: 1_000,
  phase: "booting",
};

describe("judgeEnrolled", () => {
  it("lets the enrolled key in from its address while the machine lives", () => {
    expect(judgeEnrolled(machine, enrolled, 999)).toBe("good");
    expect(judgeEnrolled({ ...machine, phase: "ready", readyAt: 0, heardAt: 0 }, enrolled, 999)).toBe("good");
  });

  it.each<[string, Machine | null, number]>([
    ["has no record", null, 0],
    ["has reached its deadline", machine, 1_000],
    ["is to be destroyed", { ...machine, phase: "destroying", why: "idle", since: 0, claim: null }, 0],
    ["is gone", { ...machine, phase: "gone", why: "idle", evidence: { at: 0, checks: [] }, claim: null }, 0],
  ])("refuses one that %s", (_what, ended, now) => {
    expect(judgeEnrolled(ended, enrolled, now)).toBe("MACHINE_ENDED");
  });

  it("refuses another key, another address, and a machine without any", () => {
    expect(judgeEnrolled(machine, { ...enrolled, key: digest("b") }, 0)).toBe("KEY_NOT_ENROLLED");
    expect(judgeEnrolled(machine, { ...enrolled, address: "10.0.0.2" }, 0)).toBe("ADDRESS_WRONG");
    expect(judgeEnrolled({ ...machine, enrolled: null }, enrolled, 0)).toBe("KEY_NOT_ENROLLED");
  });
});

describe("the frames", () => {
  it("take one form of a key", () => {
    const key = `${"A".repeat(122)}==`;
    expect(EnrolRequest.safeParse({ schema: 1, key }).success).toBe(true);
    for (const other of [`${key}\n`, key.slice(1), `A${key}`, `${"-".repeat(122)}==`, ""]) {
      expect(EnrolRequest.safeParse({ schema: 1, key: other }).success).toBe(false);
    }
  });

  it("take a pin in one form", () => {
    expect(isPin("a_-4".repeat(10) + "abc")).toBe(true);
    expect(["", "a".repeat(42), "a".repeat(44), `${"a".repeat(42)}=`, `${"a".repeat(43)}\n`].filter(isPin)).toEqual([]);
  });

  it("have machines ask again only where another try can help", () => {
    const again = Object.entries(enrolmentRefusals).filter(([, { status }]) => status >= 500);
    expect(again.map(([code]) => code)).toEqual(["ADDRESS_UNKNOWN"]);
  });
});
