import type { Clock, Instant } from "@mayfly/core";

/** After the first failure: most faults are over by then. */
const FIRST_MS = 2_000;
/** Each pause is twice the one before, up to this: a run that waits a minute too long is no harm, and each try costs requests. */
const LONGEST_MS = 60_000;
/** GitHub may say how long to stay away, at most an hour; what is longer than this would outlast the time for publishing. */
const ASKED_MS_MAX = 10 * 60_000;
/** Failing things are remembered up to this many; beyond that the oldest are tried again sooner. */
const REMEMBERED_MAX = 10_000;

/** How long things that failed are left alone, in this process: a start of the service tries all of them again. */
export interface Pauses {
  /** Whether the thing is left alone now. */
  holds(what: string): boolean;
  /**
   * It failed. Returns how long it is left alone, ms: twice as long as the last time, or as long as whoever refused asked.
   *
   * @param askedMs What whoever refused asked for; null if nothing.
   */
  failed(what: string, askedMs: number | null): number;
  /** It succeeded: the next failure is a first one. */
  succeeded(what: string): void;
}

export function createPauses(clock: Clock): Pauses {
  const pauses = new Map<string, { readonly ms: number; readonly since: Instant; readonly until: Instant }>();
  return {
    holds(what) {
      const pause = pauses.get(what);
      const now = clock.now();
      // A clock that was set back holds nothing for longer.
      return pause !== undefined && now >= pause.since && now < pause.until;
    },
    failed(what, askedMs) {
      const before = pauses.get(what);
      const ms = before === undefined ? FIRST_MS : Math.min(before.ms * 2, LONGEST_MS);
      const heldMs = Math.max(ms, Math.min(askedMs ?? 0, ASKED_MS_MAX));
      const now = clock.now();
      pauses.delete(what);
      const [oldest] = pauses.keys();
      if (oldest !== undefined && pauses.size >= REMEMBERED_MAX) {
        pauses.delete(oldest);
      }
      pauses.set(what, { ms, since: now, until: now + heldMs });
      return heldMs;
    },
    succeeded: (what) => void pauses.delete(what),
  };
}
