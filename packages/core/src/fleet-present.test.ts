import { describe, expect, it } from "vitest";
import { comparePresent } from "./fleet-present.ts";
import { launchOf, machineOf, NOW } from "./fleet.fixture.ts";
import type { PresentMachine } from "./ports.ts";

const LAG_MS = 60_000;
const booting = machineOf("1", { launchedAt: NOW - 1 });
const listed = (digit: string, running = true): PresentMachine => {
  const { id, launch } = machineOf(digit);
  return { id, launch, running, address: null, spec: null };
};
const compare = (found: Partial<Parameters<typeof comparePresent>[0]>, now = NOW, lag = 0) =>
  comparePresent({ present: [], launches: [], machines: [], ...found }, now, lag);

describe("what a provider lists, compared with the records", () => {
  it("differs in nothing when each is recorded and runs", () => {
    expect(compare({ present: [listed("1")], machines: [booting] })).toEqual({ strangers: [], lost: [] });
  });

  it("has a stranger where nobody has recorded a machine, whether it runs or not", () => {
    expect(compare({ present: [listed("1"), listed("2", false)], machines: [booting] }).strangers).toEqual([
      listed("2").id,
    ]);
    expect(compare({ present: [{ ...listed("2"), launch: null }] }).strangers).toEqual([listed("2").id]);
  });

  it("has no stranger in what an open launch has made, and one in what a settled launch has", () => {
    const open = launchOf("2");
    const settled = launchOf("2", { settled: { machines: [] } });
    expect(compare({ present: [listed("2")], launches: [open] }).strangers).toEqual([]);
    expect(compare({ present: [listed("2")], launches: [settled] }).strangers).toEqual([listed("2").id]);
    expect(compare({ present: [listed("2")], launches: [launchOf("3")] }).strangers).toEqual([listed("2").id]);
  });

  it("has lost a machine that is not listed, or has stopped", () => {
    expect(compare({ machines: [booting] }).lost).toEqual([booting]);
    expect(compare({ present: [listed("1", false)], machines: [booting] }).lost).toEqual([booting]);
  });

  it("has lost none that was launched less than the listing's lag before", () => {
    expect(compare({ machines: [booting] }, NOW + LAG_MS - 1, LAG_MS).lost).toEqual([]);
    expect(compare({ machines: [booting] }, NOW + LAG_MS, LAG_MS).lost).toEqual([booting]);
    expect(compare({ machines: [booting] }, NOW - 1).lost).toEqual([]);
  });

  it("has lost none that has spoken within the listing's lag, whatever one listing says", () => {
    const ready = {
      ...machineOf("1", { launchedAt: NOW - 60 * LAG_MS }),
      phase: "ready",
      readyAt: NOW,
      heardAt: NOW,
    } as never;
    expect(compare({ machines: [ready] }, NOW + LAG_MS, LAG_MS).lost).toEqual([]);
    expect(compare({ machines: [ready] }, NOW + LAG_MS + 1, LAG_MS).lost).toEqual([ready]);
  });

  it("has lost none that is being destroyed", () => {
    const destroying = machineOf("1", { end: { why: "idle", goneAt: null } });
    expect(compare({ machines: [destroying] }).lost).toEqual([]);
  });
});
