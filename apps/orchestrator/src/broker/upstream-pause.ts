import type { Clock, Instant, MachineId } from "@mayfly/core";
import { retryAfterMs } from "./retry-after.ts";

/**
 * Who was told by the model to wait, and until when. Kept per machine, which is per attempt: a limit is mostly the whole
 * operator's, but what one attempt provokes must not hold up the others, and each learns of it with one call. Codex waits
 * by itself; this is for a machine that does not.
 */
export interface Pauses {
  /** Seconds to wait, from an answer's Retry-After; null where it asks for none. Remembers them. */
  note(
    machine: MachineId,
    answer: { status: number; retryAfter: string | undefined; code: string | null },
  ): number | null;
  /** Seconds that are left, rounded up; 0 when a call may be made. */
  left(machine: MachineId): number;
  forget(machine: MachineId): void;
}

/** Longer than a minute's or an hour's share of a rate limit takes to come back; no run waits longer to be told so again. */
const PAUSE_SECONDS_MAX = 10 * 60;
/** For a limit without a time: Codex gives up at once on a 429 that names none, and asks three times more otherwise. */
const PAUSE_SECONDS_DEFAULT = 5;
/** A limit that no waiting cures. */
const QUOTA_CODE = "insufficient_quota";

export function createPauses(deps: { clock: Clock }): Pauses {
  const { clock } = deps;
  const until = new Map<MachineId, Instant>();
  return {
    note(machine, { status, retryAfter, code }) {
      const isLimit = status === 429 && code !== QUOTA_CODE;
      const askedMs = retryAfterMs(retryAfter, clock.now()) ?? (isLimit ? PAUSE_SECONDS_DEFAULT * 1000 : null);
      if (askedMs === null) {
        return null;
      }
      const seconds = Math.min(Math.ceil(askedMs / 1000), PAUSE_SECONDS_MAX);
      until.set(machine, Math.max(until.get(machine) ?? 0, clock.now() + seconds * 1000));
      return seconds;
    },
    left(machine) {
      const left = Math.ceil(((until.get(machine) ?? 0) - clock.now()) / 1000);
      if (left <= 0) {
        until.delete(machine);
      }
      return Math.max(0, left);
    },
    forget: (machine) => void until.delete(machine),
  };
}
