import { describe, expect, it } from "vitest";
import { limits } from "./limits.ts";
import { isProgressDue } from "./progress-pace.ts";

const NOW = 1_700_000_000_000;
const SECOND = 1_000;
const HALF = limits.contentPerHourMax / 2;

function isDueAfter(ms: number, contentUsed: number): boolean {
  return isProgressDue({ shownAt: NOW - ms, contentUsed, now: NOW });
}

describe("progress on a pull request", () => {
  it("is shown at once for a new run, however little content is left", () => {
    expect(isProgressDue({ shownAt: null, contentUsed: limits.contentPerHourMax, now: NOW })).toBe(true);
  });

  it("is shown every 15 seconds at most", () => {
    expect(isDueAfter(15 * SECOND - 1, 0)).toBe(false);
    expect(isDueAfter(15 * SECOND, HALF - 1)).toBe(true);
  });

  it("is shown every minute at most once half of the hour's content is used", () => {
    expect(isDueAfter(60 * SECOND - 1, HALF)).toBe(false);
    expect(isDueAfter(60 * SECOND, HALF)).toBe(true);
  });

  it("leaves the last fifth of the hour's content to results", () => {
    expect(isDueAfter(3_600 * SECOND, limits.contentPerHourMax * 0.8)).toBe(false);
  });
});
