import { setTimeout as after } from "node:timers/promises";
import { isAppError, limits } from "@mayfly/core";

/** What came of a check: `skipped` where there was no ground to look from. */
type Status = "ok" | "warn" | "fail" | "skipped";

/** What was looked at, what was found, and what to do about what is not as it should be. */
export interface Check {
  readonly name: string;
  readonly status: Status;
  readonly seen: string;
  /** One at least for a warning and for a failure. */
  readonly fixes: readonly string[];
  readonly ms: number;
}

/** What one look has found. */
export type Finding = Pick<Check, "status" | "seen" | "fixes">;

export function ok(seen: string): Finding {
  return { status: "ok", seen, fixes: [] };
}

export function warn(seen: string, ...fixes: [string, ...string[]]): Finding {
  return { status: "warn", seen, fixes };
}

export function fail(seen: string, ...fixes: [string, ...string[]]): Finding {
  return { status: "fail", seen, fixes };
}

/** Checks one after the other, each with a bound and none left out. */
export interface Checklist {
  /**
   * Looks, for `limits.doctorCheckMs` at most or for `ms`, and tells of what was found. Never throws: what the look
   * throws, and an answer that does not come in time, is a failure with `fix`.
   *
   * @returns What was found.
   */
  check(name: string, fix: string, look: () => Finding | Promise<Finding>, ms?: number): Promise<Finding>;
  /** Tells that there was no ground for these checks. */
  skip(names: readonly string[], why: string): void;
  /** Tells of a check that somebody else made. */
  tell(check: Check): void;
  /** From here on nothing that is told shows this value. */
  hide(secret: string): void;
}

/** A shorter value is no secret, and hiding it would hide words. */
const SECRET_CHARS_MIN = 8;
const HIDDEN = "[secret]";

/** @param onCheck Told of each check when it is made. */
export function createChecklist(onCheck: (check: Check) => void): Checklist {
  const hidden = new Set<string>();

  function safe(text: string): string {
    return [...hidden].reduce((shown, secret) => shown.replaceAll(secret, HIDDEN), text);
  }

  function tell(check: Check): void {
    onCheck({ ...check, seen: safe(check.seen), fixes: check.fixes.map(safe) });
  }

  return {
    async check(name, fix, look, ms = limits.doctorCheckMs) {
      const began = performance.now();
      const found = await within(ms, look).catch((error: unknown) => fail(wordsOf(error), fix));
      tell({ name, ...found, ms: Math.round(performance.now() - began) });
      return found;
    },
    skip: (names, why) => names.forEach((name) => tell({ name, status: "skipped", seen: why, fixes: [], ms: 0 })),
    tell,
    hide(secret) {
      if (secret.length >= SECRET_CHARS_MIN) {
        hidden.add(secret);
      }
    },
  };
}

/** Whatever comes of a look that took too long is not waited for. */
async function within(ms: number, look: () => Finding | Promise<Finding>): Promise<Finding> {
  const over = new AbortController();
  const late = after(ms, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${ms / 1_000} s`);
  });
  const looking = (async () => look())();
  return Promise.race([looking, late]).finally(() => over.abort());
}

/** What an error says, and what it says of why. */
export function wordsOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : null;
  // A fault of GitHub's has its words from its cause already.
  return cause === null || message.includes(cause.message) || isAppError(cause)
    ? message
    : `${message} (${cause.message})`;
}
