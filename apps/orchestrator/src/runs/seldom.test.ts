import { describe, expect, it } from "vitest";
import { createSeldom } from "./seldom.ts";

const MINUTE = 60_000;

describe("what lasts", () => {
  it("is said once, and again after ten minutes", () => {
    let now = 1_800_000_000_000;
    const maySay = createSeldom({ now: () => now });
    expect([maySay("a"), maySay("a"), maySay("b")]).toEqual([true, false, true]);
    now += 10 * MINUTE - 1;
    expect(maySay("a")).toBe(false);
    now += 1;
    expect(maySay("a")).toBe(true);
    now -= 60 * MINUTE;
    expect(maySay("a")).toBe(true);
  });

  it("is remembered of a bounded number of things", () => {
    const maySay = createSeldom({ now: () => 1_800_000_000_000 });
    for (let i = 0; i <= 10_000; i++) {
      expect(maySay(`thing ${i}`)).toBe(true);
    }
    expect(maySay("thing 0")).toBe(true);
    expect(maySay("thing 10000")).toBe(false);
  });
});
