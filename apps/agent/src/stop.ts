/** Why Codex is ended before it ends itself. */
export type StopReason = "deadline" | "cancelled" | "superseded" | "revoked" | "relay_broken";

/** The attempt's one switch: thrown once, by whoever comes first. */
export interface Stop {
  /** Aborted when thrown. */
  readonly signal: AbortSignal;
  readonly throw: (why: StopReason) => void;
  /** Null until thrown. */
  reason(): StopReason | null;
}

/** `ms` from now, by the monotonic clock, the deadline throws it. `clear` when nothing is left to stop. */
export function createStop(ms: number): Stop & { clear(): void } {
  const controller = new AbortController();
  let reason: StopReason | null = null;

  function throwSwitch(why: StopReason): void {
    if (reason === null) {
      reason = why;
      controller.abort(new Error(`stopped: ${why}`));
    }
  }

  const timer = setTimeout(throwSwitch, ms, "deadline");
  return { signal: controller.signal, throw: throwSwitch, reason: () => reason, clear: () => clearTimeout(timer) };
}
