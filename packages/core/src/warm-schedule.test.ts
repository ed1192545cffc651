import { describe, expect, it } from "vitest";
import { readWarmPeriod, scheduledWarm, type WarmPeriod } from "./warm-schedule.ts";

const periods = (...texts: string[]) => texts.map((text) => readWarmPeriod(text) as WarmPeriod);
/** 2026-01-05 is a Monday. */
const at = (day: number, hour: number, minute = 0) => Date.UTC(2026, 0, 4 + day, hour, minute);

describe("a warm schedule", () => {
  it.each([
    "",
    "mon",
    "mon 08:00-18:00",
    "mon 18:00-08:00 1",
    "mon 08:00-08:00 1",
    "mon 08:00-24:30 1",
    "mon 08:60-18:00 1",
    "mon 8:00-18:00 1",
    "monday 08:00-18:00 1",
    "mon 08:00-18:00 -1",
    "mon 08:00-18:00 01",
    "mon 08:00-18:00 10000",
    " mon 08:00-18:00 1",
  ])("refuses %j", (text) => {
    expect(readWarmPeriod(text)).toBeNull();
  });

  it("holds on its days, from its first minute to before its last", () => {
    const schedule = periods("mon-fri 08:00-18:00 4");
    expect(
      [at(1, 7, 59), at(1, 8), at(5, 17, 59), at(1, 18), at(6, 9), at(0, 9)].map((now) => scheduledWarm(schedule, now)),
    ).toEqual([0, 4, 4, 0, 0, 0]);
  });

  it("goes over the end of the week", () => {
    const schedule = periods("fri-mon 00:00-24:00 2");
    expect([0, 1, 2, 3, 4, 5, 6].map((day) => scheduledWarm(schedule, at(day, 12)))).toEqual([2, 2, 0, 0, 0, 2, 2]);
  });

  it("wants the most where periods meet, and none without any", () => {
    const schedule = periods("mon 08:00-18:00 4", "mon 12:00-13:00 9", "mon 12:00-13:00 1");
    expect([at(1, 11), at(1, 12)].map((now) => scheduledWarm(schedule, now))).toEqual([4, 9]);
    expect(scheduledWarm([], at(1, 12))).toBe(0);
  });
});
