import type { Clock } from "@mayfly/core";

/** What lasts is said again after this long: often enough for whoever looks in later, and a look is every second. */
const AGAIN_MS = 10 * 60_000;
/** What was said is remembered for so many things; beyond that things are said more often. */
const REMEMBERED_MAX = 10_000;

/** Whether this may be said now: the first time, and again after a while if it lasts. */
export function createSeldom(clock: Clock): (what: string) => boolean {
  const saidAt = new Map<string, number>();
  // A clock that was set back silences nothing.
  const isRecent = (at: number | undefined) => at !== undefined && Math.abs(clock.now() - at) < AGAIN_MS;
  return (what) => {
    if (isRecent(saidAt.get(what))) {
      return false;
    }
    for (const [other, at] of saidAt) {
      if (!isRecent(at) || saidAt.size >= REMEMBERED_MAX) {
        saidAt.delete(other);
      }
    }
    saidAt.set(what, clock.now());
    return true;
  };
}
