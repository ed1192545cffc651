import { describe, expect, it } from "vitest";
import { type BendName, bends } from "./bends.ts";
import { readOptions } from "./options.ts";
import { isWell, renderReport } from "./report.ts";
import { runStorm, type StormOptions } from "./storm.ts";

/** Many times what each takes on an idle host. */
const STORM_MS = 300_000;
/** Enough for each cap to bind, and for each rule to be needed. */
const small = { seed: 3, runs: 100, atOnce: 100 };
const few = { seed: 3, runs: 5, atOnce: 5 };

describe("a storm", () => {
  it(
    "loses nothing, doubles nothing and leaves nothing, whatever EC2 and the service's crashes do",
    async () => {
      const report = await runStorm({ seed: 1, runs: 40, atOnce: 24, bend: null });
      expect(report.words).toEqual([]);
      expect(report.figures).toMatchObject({ runs: 40, lost: 0, doubled: 0, left: 0, capExceeded: 0 });
      expect(isWell(report)).toBe(true);
      expect(report.crashes).toBeGreaterThan(1);
    },
    STORM_MS,
  );
});

describe("a storm in which a rule is bent", () => {
  it.each<[BendName, "doubled" | "capExceeded", Pick<StormOptions, "firstCaps" | "shareOfFirst">]>([
    ["claim-unchecked", "doubled", {}],
    ["machines-uncapped", "capExceeded", {}],
    ["installation-uncapped", "capExceeded", { shareOfFirst: 0.8 }],
    ["hour-uncapped", "capExceeded", { firstCaps: 1 }],
    ["money-uncapped", "capExceeded", { firstCaps: 2 }],
  ])(
    "notices %s at once",
    async (name, figure, where) => {
      const bent = { ...where, bend: bends[name], chaos: { noCapacity: 0 }, endsAtBreach: true };
      const report = await runStorm({ ...small, ...bent });
      expect(report.figures[figure]).toBeGreaterThan(0);
      expect(isWell(report)).toBe(false);
      expect(renderReport(report)).toContain(`--seed ${small.seed} --runs ${small.runs} --at-once ${small.atOnce}`);
    },
    STORM_MS,
  );

  it.each<[BendName, "left" | "doubled"]>([
    ["no-destroy", "left"],
    ["publish-unchecked", "doubled"],
  ])(
    "notices %s in the end",
    async (name, figure) => {
      const report = await runStorm({ ...few, bend: bends[name], chaos: { leaks: 0.5 }, minutesMax: 10 });
      expect(report.figures[figure]).toBeGreaterThan(0);
      expect(isWell(report)).toBe(false);
    },
    STORM_MS,
  );
});

describe("a storm whose launches forget tags", () => {
  it(
    "names what was made without them",
    async () => {
      const report = await runStorm({ ...few, bend: bends["no-tags"], endsAtBreach: true });
      expect(report.words).toContainEqual(expect.stringMatching(/vol-\w+ was made without mayfly:fleet/));
      expect(isWell(report)).toBe(false);
    },
    STORM_MS,
  );
});

describe("a storm that is broken off", () => {
  it(
    "by a signal says so, and calls no open run lost and no machine at work left behind",
    async () => {
      const stop = new AbortController();
      const onProgress = (line: string) => (line.startsWith("2.0 min") ? stop.abort() : undefined);
      const report = await runStorm({ seed: 1, runs: 12, atOnce: 6, bend: null, signal: stop.signal, onProgress });
      expect(report.open).toBeGreaterThan(0);
      expect(report.figures).toMatchObject({ runs: 12 - report.open, lost: 0, doubled: 0, left: 0, capExceeded: 0 });
      expect(report.words).toEqual([]);
      expect(isWell(report)).toBe(false);
      const text = renderReport(report);
      expect(text).toContain(`Broken off by a signal: of 12 runs ${report.open} had not ended.`);
      expect(text).not.toContain("Wrong");
    },
    STORM_MS,
  );

  it(
    "by its time says so likewise",
    async () => {
      const report = await runStorm({ ...few, bend: null, minutesMax: 1 });
      expect(report).toMatchObject({ brokenOff: "after 1 simulated minutes", open: few.runs, words: [] });
      expect(isWell(report)).toBe(false);
    },
    STORM_MS,
  );
});

describe("the storm's options", () => {
  it("are a thousand runs, two hundred at once, unless they are said", () => {
    expect(readOptions([])).toMatchObject({ seed: 1, runs: 1_000, atOnce: 200, bend: null, json: false });
    expect(readOptions(["--seed", "7", "--runs", "50", "--at-once", "9", "--bend", "no-tags", "--json"])).toMatchObject(
      {
        seed: 7,
        runs: 50,
        atOnce: 9,
        bend: "no-tags",
        json: true,
      },
    );
  });

  it.each([
    ["--runs", "0"],
    ["--runs", "1e3"],
    ["--at-once", "-1"],
    ["--seed", "x"],
    ["--bend", "toString"],
  ])("refuse %s %s", (name, value) => {
    expect(() => readOptions([`${name}=${value}`])).toThrow(name);
  });
});
