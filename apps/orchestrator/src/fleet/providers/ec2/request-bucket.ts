import type { Clock, Instant } from "@mayfly/core";

/** After a refusal nothing is asked for this long, twice as long each time in a row, up to the most. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 60_000;

/**
 * The right to ask EC2 for machines, which a whole account shares. One worker keeps it in memory; several would keep it
 * in Redis behind this interface.
 */
export interface RequestBucket {
  /** Takes one request out, or says when there may be one. */
  take(): Promise<{ taken: true } | { taken: false; until: Instant }>;
  /** EC2 refused one for coming too soon: nothing goes out for a while. */
  noteThrottled(): Promise<void>;
  /** EC2 took one: the next refusal is the first again. */
  noteAccepted(): Promise<void>;
  /** Until when EC2 asked us to wait, as far as this process knows; in the past when it did not. */
  pausedUntil(): Instant;
}

/** A bucket that this process has for itself. */
export function createRequestBucket(options: { clock: Clock; burst: number; perSecond: number }): RequestBucket {
  const { clock, burst, perSecond } = options;
  let tokens = burst;
  let filledAt = clock.now();
  let pausedUntil = 0;
  let refusals = 0;

  function fill(now: Instant): void {
    tokens = Math.min(burst, tokens + (Math.max(0, now - filledAt) / 1000) * perSecond);
    filledAt = now;
  }

  return {
    async take() {
      const now = clock.now();
      fill(now);
      if (now < pausedUntil) {
        return { taken: false, until: pausedUntil };
      }
      if (tokens < 1) {
        return { taken: false, until: now + Math.ceil(((1 - tokens) / perSecond) * 1000) };
      }
      tokens -= 1;
      return { taken: true };
    },
    async noteThrottled() {
      const now = clock.now();
      if (now < pausedUntil) {
        // One answer can say it of each of its offerings.
        return;
      }
      pausedUntil = now + Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** refusals);
      refusals += 1;
      // EC2's bucket is empty, so ours is: it starts anew after the pause.
      tokens = 0;
      filledAt = now;
    },
    async noteAccepted() {
      refusals = 0;
    },
    pausedUntil: () => pausedUntil,
  };
}
