import type { Instant } from "@mayfly/core";

/** How long something that failed is left alone. */
export interface Pause {
  readonly ms: number;
  readonly until: Instant;
}

/** Less than a minute, so that the next sweep is the next try: most faults pass soon. */
const PAUSE_MS_MIN = 30_000;
/** What resists for hours is for a person to mend, who need not wait long to see that it worked. */
const PAUSE_MS_MAX = 60 * 60_000;

/** The pause after one more failure: twice the one before, up to an hour. `isLonger`: it grew, which is worth a line. */
export function nextPause(before: Pause | null, now: Instant): { pause: Pause; isLonger: boolean } {
  const ms = before === null ? PAUSE_MS_MIN : Math.min(before.ms * 2, PAUSE_MS_MAX);
  return { pause: { ms, until: now + ms }, isLonger: ms > (before?.ms ?? 0) };
}
