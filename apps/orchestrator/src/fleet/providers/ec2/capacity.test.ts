import { describe, expect, it } from "vitest";
import { createCapacity } from "./capacity.ts";

const MINUTE = 60_000;
const now = 1_800_000_000_000;
const offerings = ["m7i.large", "m7a.large"].flatMap((type) =>
  ["subnet-a", "subnet-b"].map((subnet) => ({ subnet, type })),
);
const [first] = offerings as [(typeof offerings)[number]];

describe("what EC2 can give", () => {
  it("is spot where it is wanted, everywhere, until something is known", () => {
    expect(createCapacity({ offerings, spot: true }).open(now)).toEqual({ purchase: "spot", offerings });
    expect(createCapacity({ offerings, spot: false }).open(now)).toEqual({ purchase: "on-demand", offerings });
  });

  it("lacks one offering for three minutes, and no other", () => {
    const capacity = createCapacity({ offerings, spot: true });
    capacity.noteLacking({ purchase: "spot", offering: first, scope: "offering", now });
    expect(capacity.open(now)).toEqual({ purchase: "spot", offerings: offerings.slice(1) });
    expect(capacity.open(now + 3 * MINUTE - 1)).toEqual({ purchase: "spot", offerings: offerings.slice(1) });
    expect(capacity.open(now + 3 * MINUTE)).toEqual({ purchase: "spot", offerings });
  });

  it("lacks a whole subnet that has no address left", () => {
    const capacity = createCapacity({ offerings, spot: true });
    capacity.noteLacking({ purchase: "spot", offering: first, scope: "subnet", now });
    expect(capacity.open(now)).toEqual({
      purchase: "spot",
      offerings: offerings.filter(({ subnet }) => subnet === "subnet-b"),
    });
  });

  it("is on-demand when no spot is left, and spot again as soon as there may be some", () => {
    const capacity = createCapacity({ offerings, spot: true });
    capacity.noteLacking({ purchase: "spot", offering: null, scope: "purchase", now });
    expect(capacity.open(now)).toEqual({ purchase: "on-demand", offerings });
    expect(capacity.open(now + 3 * MINUTE)).toEqual({ purchase: "spot", offerings });
  });

  it("is nothing when neither is left, and then says until when", () => {
    const capacity = createCapacity({ offerings, spot: true });
    capacity.noteLacking({ purchase: "spot", offering: null, scope: "purchase", now: now - MINUTE });
    capacity.noteLacking({ purchase: "on-demand", offering: null, scope: "purchase", now });
    expect(capacity.open(now)).toEqual({ none: true, until: now + 2 * MINUTE });
  });

  it("is no spot for half an hour after two interruptions within a quarter of one", () => {
    const capacity = createCapacity({ offerings, spot: true });
    capacity.noteInterruption("i-1", now, now);
    expect(capacity.isSpotOff(now)).toBe(false);
    capacity.noteInterruption("i-2", now + 15 * MINUTE - 1, now + 15 * MINUTE - 1);
    const since = now + 15 * MINUTE - 1;
    expect(capacity.open(since)).toEqual({ purchase: "on-demand", offerings });
    expect(capacity.isSpotOff(since + 30 * MINUTE - 1)).toBe(true);
    expect(capacity.open(since + 30 * MINUTE)).toEqual({ purchase: "spot", offerings });
  });

  it("is on-demand alone for who asks for nothing else", () => {
    const capacity = createCapacity({ offerings, spot: true });
    expect(capacity.open(now, true)).toEqual({ purchase: "on-demand", offerings });
    capacity.noteLacking({ purchase: "on-demand", offering: null, scope: "purchase", now });
    expect(capacity.open(now, true)).toEqual({ none: true, until: now + 3 * MINUTE });
    expect(capacity.open(now)).toEqual({ purchase: "spot", offerings });
  });

  it("minds no interruption of long ago that is learned of only now", () => {
    const capacity = createCapacity({ offerings, spot: true });
    for (const id of ["i-1", "i-2", "i-3"]) {
      capacity.noteInterruption(id, now - 15 * MINUTE, now);
    }
    expect(capacity.isSpotOff(now)).toBe(false);
    capacity.noteInterruption("i-4", now, now);
    expect(capacity.isSpotOff(now)).toBe(false);
    capacity.noteInterruption("i-5", now - MINUTE, now);
    expect(capacity.isSpotOff(now + 30 * MINUTE - 1)).toBe(true);
    expect(capacity.isSpotOff(now + 30 * MINUTE)).toBe(false);
  });

  it("minds no single interruption, nor two that lie apart, nor one that is told twice", () => {
    const capacity = createCapacity({ offerings, spot: true });
    capacity.noteInterruption("i-1", now, now);
    capacity.noteInterruption("i-1", now + MINUTE, now + MINUTE);
    capacity.noteInterruption("i-2", now + 15 * MINUTE, now + 15 * MINUTE);
    capacity.noteInterruption("i-1", now + 16 * MINUTE, now + 16 * MINUTE);
    expect(capacity.isSpotOff(now + 16 * MINUTE)).toBe(false);
  });
});
