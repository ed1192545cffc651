import type { Clock, Instant } from "@mayfly/core";
import { pauseAfter, type RequestBucket } from "../../../store/request-bucket.ts";

/** A bucket that this process has for itself: for commands that launch without a service, and so without Redis. */
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
        return false;
      }
      pausedUntil = now + pauseAfter(refusals);
      refusals += 1;
      // EC2's bucket is empty, so ours is: it starts anew after the pause.
      tokens = 0;
      filledAt = now;
      return true;
    },
    async noteAccepted() {
      refusals = 0;
    },
    pausedUntil: () => pausedUntil,
    refresh: () => Promise.resolve(),
  };
}
