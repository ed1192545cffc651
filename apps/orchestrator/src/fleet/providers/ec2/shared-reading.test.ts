import { describe, expect, it } from "vitest";
import { createSharedReading } from "./shared-reading.ts";
import { createTestTime } from "./testing.fixture.ts";

function open(outcomes: ("ok" | "fails")[] = []) {
  const time = createTestTime();
  const begunAt: number[] = [];
  const noted: number[] = [];
  const reading = createSharedReading({
    ...time,
    everyMs: 2_000,
    async read() {
      begunAt.push(time.clock.now());
      if (outcomes[begunAt.length - 1] === "fails") {
        throw new Error("not now");
      }
      return begunAt.length;
    },
    onRead: ({ value }) => noted.push(value),
  });
  return { ...time, begunAt, noted, reading };
}

describe("a shared reading", () => {
  it("is one for all who ask at once, and for a while", async () => {
    const { reading, begunAt, pass } = open();
    const asked = await Promise.all([reading.recent(), reading.recent(), reading.recent()]);
    expect(asked.map(({ value }) => value)).toEqual([1, 1, 1]);
    pass(1_999);
    expect((await reading.recent()).value).toBe(1);
    pass(1);
    expect((await reading.recent()).value).toBe(2);
    expect(begunAt).toHaveLength(2);
  });

  it("begins after the moment for whoever needs that, and no sooner than it may", async () => {
    const { reading, begunAt, clock } = open();
    await reading.recent();
    const moment = clock.now();
    const asked = await Promise.all([reading.after(moment), reading.after(moment)]);
    expect(asked.map(({ value }) => value)).toEqual([2, 2]);
    expect(begunAt[1]).toBe(moment + 2_000);
    expect((await reading.after(moment)).value).toBe(2);
  });

  it("does not take one that had begun already for one that begins after", async () => {
    const { reading, clock } = open();
    const begun = reading.recent();
    await Promise.resolve();
    await Promise.resolve();
    const later = reading.after(clock.now());
    expect([(await begun).value, (await later).value]).toEqual([1, 2]);
  });

  it("fails for those who asked for it, and is tried again no sooner than it may", async () => {
    const { reading, begunAt, noted } = open(["fails", "ok"]);
    await expect(Promise.all([reading.recent(), reading.recent()])).rejects.toThrow("not now");
    expect((await reading.recent()).value).toBe(2);
    expect((begunAt[1] ?? 0) - (begunAt[0] ?? 0)).toBe(2_000);
    expect(noted).toEqual([2]);
  });
});
