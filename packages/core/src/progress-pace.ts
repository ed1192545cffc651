import type { Instant } from "./ids.ts";
import { limits } from "./limits.ts";

/** From this share of the hour's content on, progress is shown less often. */
const SCARCE = 0.5;
/** From this share on, no more than that there is a run: the rest is for results. */
const SPENT = 0.8;

/**
 * Whether something new about a run may be shown now.
 *
 * @param pace.shownAt When this run was last shown; null if it never was: that is always due, for no trigger goes unseen.
 * @param pace.contentUsed What the installation has written on GitHub in this hour, in requests.
 */
export function isProgressDue(pace: {
  readonly shownAt: Instant | null;
  readonly contentUsed: number;
  readonly now: Instant;
}): boolean {
  const { shownAt, contentUsed, now } = pace;
  if (shownAt === null) {
    return true;
  }
  const share = contentUsed / limits.contentPerHourMax;
  if (share >= SPENT) {
    return false;
  }
  return now - shownAt >= (share >= SCARCE ? limits.progressScarceEveryMs : limits.progressEveryMs);
}
