import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";

/** The fleet's settings, or what is wrong with them. */
function fleet(yaml: string, environment: Record<string, string> = {}): object {
  const parsed = parseConfig({ file: { name: "config.yaml", text: yaml }, environment });
  return parsed.ok ? parsed.config.fleet : { problems: parsed.problems.map(({ message }) => message) };
}

describe("the fleet's settings", () => {
  it("take a schedule from the file and from the environment", () => {
    const periods = [
      { days: [1, 2, 3, 4, 5], from: 480, to: 1_080, machines: 3 },
      { days: [6], from: 0, to: 1_440, machines: 1 },
    ];
    const text = "mon-fri 08:00-18:00 3";
    const other = "sat 00:00-24:00 1";
    expect(fleet(`fleet:\n  warm_schedule:\n    - ${text}\n    - ${other}\n`)).toMatchObject({ warmSchedule: periods });
    expect(fleet("", { MAYFLY_WARM_SCHEDULE: `${text}, ${other}` })).toMatchObject({ warmSchedule: periods });
  });

  it("name a period that is none", () => {
    expect(fleet("fleet:\n  warm_schedule: [mon-fri 8-18 3]\n")).toEqual({
      problems: [
        'fleet.warm_schedule: must be days, times and machines such as mon-fri 08:00-18:00 4, not "mon-fri 8-18 3"',
      ],
    });
    expect(fleet("fleet:\n  warm_schedule: [fri 22:00-02:00 4]\n")).toEqual({
      problems: ['fleet.warm_schedule: must end after its start: split it at midnight, not "fri 22:00-02:00 4"'],
    });
  });

  it("take a limit on money with a dated price, and not without", () => {
    const money = "fleet:\n  machine_price_per_hour: 0.12\n  money_per_day_max: 25\n";
    expect(fleet(`${money}  machine_price_as_of: 2026-01-31\n`)).toMatchObject({
      money: { perHour: 0.12, perDayMax: 25, asOf: "2026-01-31" },
    });
    expect(fleet(money)).toEqual({
      problems: ["a limit on money needs fleet.machine_price_as_of (MAYFLY_MACHINE_PRICE_AS_OF) as well"],
    });
    expect(fleet("fleet:\n  money_per_day_max: -1\n")).toMatchObject({
      problems: [expect.stringContaining("must be US dollars for a day from 0 to 1000000")],
    });
  });

  it("keep machines warm only as often as they may be launched", () => {
    const wait = "machines wait for 30 minutes at most";
    expect(fleet("fleet:\n  machines_max: 9\n  warm: 4\n  launches_per_hour_max: 7\n")).toEqual({
      problems: [
        `fleet.warm is 4, and ${wait}: that is 8 launches an hour, more than fleet.launches_per_hour_max allows (7)`,
      ],
    });
    expect(fleet("fleet:\n  warm: 4\n  launches_per_hour_max: 8\n")).toMatchObject({ warm: 4 });
  });

  it.each([
    ["warm", "warm: 5"],
    ["warm_max", "warm_max: 5"],
    ["machines_per_installation_max", "machines_per_installation_max: 5"],
    ["warm_schedule", "warm_schedule: [mon 00:00-01:00 5]"],
  ])("keep %s within all machines", (_name, line) => {
    expect(fleet(`fleet:\n  machines_max: 4\n  ${line}\n`)).toMatchObject({
      problems: [expect.stringContaining("more than fleet.machines_max allows (4)")],
    });
    expect(fleet(`fleet:\n  machines_max: 5\n  ${line}\n`)).toMatchObject({ machinesMax: 5 });
  });
});
