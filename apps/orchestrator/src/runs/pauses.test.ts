import { describe, expect, it } from "vitest";
import { createPauses } from "./pauses.ts";

function bench() {
  const clock = { time: 1_800_000_000_000, now: () => clock.time };
  return { clock, pauses: createPauses(clock) };
}

describe("what failed", () => {
  it("is left alone twice as long each time, up to a minute, and like new once it succeeded", () => {
    const { clock, pauses } = bench();
    const waits = Array.from({ length: 8 }, () => pauses.failed("a", null));
    expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    expect([pauses.holds("a"), pauses.holds("b")]).toEqual([true, false]);
    clock.time += 60_000;
    expect(pauses.holds("a")).toBe(false);
    pauses.succeeded("a");
    expect(pauses.failed("a", null)).toBe(2_000);
  });

  it("is left alone as long as was asked, ten minutes at most, and no longer the time after", () => {
    const { pauses } = bench();
    expect(pauses.failed("a", 90_000)).toBe(90_000);
    expect(pauses.failed("a", 3_600_000)).toBe(600_000);
    expect(pauses.failed("a", 1_000)).toBe(8_000);
  });

  it("is tried at once when the clock was set back", () => {
    const { clock, pauses } = bench();
    pauses.failed("a", null);
    clock.time -= 60_000;
    expect(pauses.holds("a")).toBe(false);
  });

  it("is remembered of a bounded number of things, the oldest first to be forgotten", () => {
    const { pauses } = bench();
    for (let i = 0; i <= 10_000; i++) {
      pauses.failed(`thing ${i}`, null);
    }
    expect([pauses.holds("thing 0"), pauses.holds("thing 1"), pauses.holds("thing 10000")]).toEqual([
      false,
      true,
      true,
    ]);
  });
});
