import { describe, expect, it } from "vitest";
import { createRequestBucket } from "./request-bucket.ts";
import { createTestTime } from "./testing.fixture.ts";

function open() {
  const time = createTestTime();
  const bucket = createRequestBucket({ clock: time.clock, burst: 5, perSecond: 2 });
  const takeAll = async (): Promise<number> => {
    let taken = 0;
    while ((await bucket.take()).taken) {
      taken += 1;
    }
    return taken;
  };
  return { ...time, bucket, takeAll };
}

describe("the bucket of launches", () => {
  it("gives so many at once, then so many each second", async () => {
    const { takeAll, pass } = open();
    expect(await takeAll()).toBe(5);
    pass(1_000);
    expect(await takeAll()).toBe(2);
    pass(3_600_000);
    expect(await takeAll()).toBe(5);
  });

  it("says when the next may be taken, and keeps its word", async () => {
    const { bucket, takeAll, clock, pass } = open();
    await takeAll();
    const turn = await bucket.take();
    expect(turn).toEqual({ taken: false, until: clock.now() + 500 });
    pass(500);
    expect((await bucket.take()).taken).toBe(true);
  });

  it("gives nothing while it pauses, and starts anew afterwards", async () => {
    const { bucket, clock, pass } = open();
    await bucket.noteThrottled();
    expect(bucket.pausedUntil()).toBe(clock.now() + 1_000);
    expect(await bucket.take()).toEqual({ taken: false, until: clock.now() + 1_000 });
    pass(1_000);
    expect((await bucket.take()).taken).toBe(true);
  });

  it("pauses once for all refusals of one answer", async () => {
    const { bucket, clock, pass } = open();
    for (let refusals = 0; refusals < 8; refusals++) {
      await bucket.noteThrottled();
    }
    expect(bucket.pausedUntil()).toBe(clock.now() + 1_000);
    pass(1_000);
    await bucket.noteThrottled();
    expect(bucket.pausedUntil()).toBe(clock.now() + 2_000);
  });

  it("pauses twice as long each time in a row, at most a minute", async () => {
    const { bucket, clock, pass } = open();
    const pauses: number[] = [];
    for (let refusals = 0; refusals < 9; refusals++) {
      await bucket.noteThrottled();
      pauses.push(bucket.pausedUntil() - clock.now());
      pass(60_000);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    await bucket.noteAccepted();
    await bucket.noteThrottled();
    expect(bucket.pausedUntil() - clock.now()).toBe(1_000);
  });
});
