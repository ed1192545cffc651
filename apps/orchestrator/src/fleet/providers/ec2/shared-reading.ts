import type { Clock, Instant } from "@mayfly/core";
import type { Pause } from "./ec2-client.ts";

/** What was read, and when the reading began. */
export interface Reading<Value> {
  readonly begunAt: Instant;
  readonly value: Value;
}

/** One reading for all who ask, at most one at a time and one in so many ms. Both throw what the reading throws. */
export interface SharedReading<Value> {
  /** The last one if it is no older than that, else a new one. */
  recent(): Promise<Reading<Value>>;
  /** One that began after this moment. */
  after(moment: Instant): Promise<Reading<Value>>;
}

export function createSharedReading<Value>(options: {
  readonly read: () => Promise<Value>;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly pause: Pause;
  /** Told of each that succeeded. */
  readonly onRead?: (reading: Reading<Value>) => void;
}): SharedReading<Value> {
  const { read, everyMs, clock, pause, onRead } = options;
  let last: Reading<Value> | null = null;
  let lastBegunAt = Number.NEGATIVE_INFINITY;
  let busy: Promise<unknown> = Promise.resolve();
  /** The reading that has not begun yet: everybody who asks meanwhile gets that one. */
  let coming: Promise<Reading<Value>> | null = null;

  async function readNext(): Promise<Reading<Value>> {
    await busy;
    const waitMs = lastBegunAt + everyMs - clock.now();
    if (waitMs > 0) {
      await pause(waitMs);
    }
    const begunAt = clock.now();
    lastBegunAt = begunAt;
    coming = null;
    const reading = read().then((value): Reading<Value> => ({ begunAt, value }));
    busy = reading.catch(() => null);
    last = await reading;
    onRead?.(last);
    return last;
  }

  function next(): Promise<Reading<Value>> {
    coming ??= readNext();
    return coming;
  }

  return {
    recent: async () => (last !== null && clock.now() < last.begunAt + everyMs ? last : next()),
    after: async (moment) => (last !== null && last.begunAt > moment ? last : next()),
  };
}
