import { limits } from "@mayfly/core";
import { fail, type Finding, ok, warn } from "./checklist.ts";

const FIX = "set this host's clock by the network: timedatectl set-ntp true, then timedatectl timesync-status";

/**
 * How far this host's clock is from another's.
 *
 * @param skewMs Positive where ours is ahead.
 * @param whose Of whom it is said.
 * @param bounds.max From here on things fail.
 */
export function skewFinding(skewMs: number, whose: string, bounds: { max: number }): Finding {
  const size = Math.abs(skewMs);
  const seconds = (size / 1_000).toFixed(size < limits.clockSkewMs ? 1 : 0);
  const seen = `this host's clock is ${seconds} s ${skewMs < 0 ? "behind" : "ahead of"} ${whose}'s`;
  if (size <= limits.clockSkewMs) {
    return ok(seen);
  }
  return size <= bounds.max ? warn(seen, FIX) : fail(seen, FIX);
}
