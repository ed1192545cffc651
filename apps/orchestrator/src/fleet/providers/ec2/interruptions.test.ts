import { describe, expect, it } from "vitest";
import { createCapacity } from "./capacity.ts";
import { createInterruptions } from "./interruptions.ts";
import { instanceIdNumber, seenInstance } from "./testing.fixture.ts";

const MINUTE = 60_000;
const now = 1_800_000_000_000;

function open() {
  const capacity = createCapacity({ offerings: [{ subnet: "subnet-a", type: "m7i.large" }], spot: true });
  return { capacity, interruptions: createInterruptions(capacity) };
}

const living = (number: number, launchedAt = now) =>
  seenInstance({ id: instanceIdNumber(number), spot: true, launchedAt });
const taken = (number: number, launchedAt = now) =>
  seenInstance({ id: instanceIdNumber(number), spot: true, launchedAt, state: "terminated", interrupted: true });

describe("what EC2 has taken back", () => {
  it("is not new to a process that begins when it is an hour old", () => {
    const { capacity, interruptions } = open();
    const old = [1, 2, 3].map((number) => taken(number, now - 60 * MINUTE));
    interruptions.noteReading(old, now);
    interruptions.noteReading(old, now + 3_000);
    expect(capacity.isSpotOff(now + 3_000)).toBe(false);
    expect(interruptions.has(taken(1).machine)).toBe(true);
  });

  it("is new if it was seen alive before, or was launched but a moment ago", () => {
    const { capacity, interruptions } = open();
    interruptions.noteReading([living(1, now - 600 * MINUTE)], now);
    interruptions.noteReading([taken(1, now - 600 * MINUTE)], now + 3_000);
    expect(capacity.isSpotOff(now + 3_000)).toBe(false);
    interruptions.noteReading([taken(1, now - 600 * MINUTE), taken(2, now - MINUTE)], now + 6_000);
    expect(capacity.isSpotOff(now + 6_000)).toBe(true);
  });

  it("counts once when it was announced and then happens", () => {
    const { capacity, interruptions } = open();
    interruptions.noteReading([living(1)], now);
    interruptions.noteWarning(instanceIdNumber(1), now);
    expect(interruptions.has(living(1).machine)).toBe(true);
    interruptions.noteReading([taken(1)], now + 2 * MINUTE);
    expect(capacity.isSpotOff(now + 2 * MINUTE)).toBe(false);
    expect(interruptions.has(living(2).machine)).toBe(false);
  });

  it("is forgotten some time after EC2 has", () => {
    const { interruptions } = open();
    interruptions.noteReading([taken(1)], now);
    interruptions.noteReading([], now + 120 * MINUTE);
    expect(interruptions.has(taken(1).machine)).toBe(true);
    interruptions.noteReading([], now + 121 * MINUTE);
    expect(interruptions.has(taken(1).machine)).toBe(false);
  });
});
