import type { Clock, Instant, RunId } from "@mayfly/core";
import type { Logger } from "pino";
import { hideInLog } from "../../host/log.ts";
import type { Credential } from "./issuer.ts";
import { nextPause, type Pause } from "./retry-pause.ts";

/**
 * Every credential of this process, until it has been worthless for an hour. Bound: LEDGER_MAX; beyond it the oldest that
 * is not at work is given up, and said so in the log.
 */
export interface Ledger {
  /** Its secret is kept out of the log for as long. */
  add(credential: Credential, run: RunId): void;
  /** Revokes it, once for all who ask at the same time. Never throws: what resists is left to `retry`. */
  revoke(credential: Credential, log: Logger): Promise<void>;
  /**
   * Tries again what could not be revoked, ever more rarely: hourly in the end, and no more an hour after it has expired by
   * itself. To be called about once a minute. Returns how many gave way. Never throws.
   */
  retry(): Promise<number>;
  /** Every secret that is worth something now or was within the last hour: this run's, or all. */
  secrets(run?: RunId): string[];
}

/** A result comes minutes after its attempt at most; an hour leaves room for a publication that had to wait. */
export const MEMORY_MS = 60 * 60_000;

/** Some kilobytes each; a thousand machines with several keys an hour each stay below it. */
const LEDGER_MAX = 10_000;

interface Entry {
  readonly run: RunId;
  /** Shows the secret in the log again. */
  readonly unhide: () => void;
  /** Since when it is worth nothing; null while it is. */
  goneAt: Instant | null;
  /** It should be gone, and is not: when it is tried again. */
  owed: Pause | null;
  revoking: Promise<boolean> | null;
}

export function createLedger(deps: { clock: Clock; log: Logger; entriesMax?: number }): Ledger {
  const { clock, entriesMax = LEDGER_MAX } = deps;
  const entries = new Map<Credential, Entry>();

  /** Says whether it is gone. */
  async function tryRevoke(credential: Credential, entry: Entry, log: Logger): Promise<boolean> {
    try {
      await credential.revoke();
    } catch (err) {
      const { pause, isLonger } = nextPause(entry.owed, clock.now());
      entry.owed = pause;
      if (isLonger) {
        log.warn({ err, pauseMs: pause.ms }, "a model credential could not be revoked yet");
      }
      return false;
    }
    entry.goneAt = clock.now();
    entry.owed = null;
    return true;
  }

  /** Expired, by a margin for clocks that differ: there is nothing left to revoke. */
  function hasExpired({ expiresAt }: Credential): boolean {
    return expiresAt !== null && clock.now() - expiresAt > MEMORY_MS;
  }

  function giveUp(credential: Credential, entry: Entry): void {
    entry.owed = null;
    entry.goneAt = clock.now();
    deps.log.warn(
      { run: entry.run, expiredAt: credential.expiresAt },
      "a model credential was never revoked; it has expired by itself and is tried no more",
    );
  }

  function makeRoom(): void {
    forget();
    const oldest =
      entries.size < entriesMax
        ? undefined
        : [...entries].find(([, { goneAt, owed }]) => goneAt !== null || owed !== null);
    if (oldest !== undefined) {
      const [credential, { run, owed, unhide }] = oldest;
      unhide();
      entries.delete(credential);
      deps.log.warn(
        { run, isRevoked: owed === null },
        "there are too many model credentials: one is not revoked by this process, nor looked for in what is published",
      );
    }
  }

  function forget(): void {
    for (const [credential, { goneAt, unhide }] of entries) {
      if (goneAt !== null && clock.now() - goneAt > MEMORY_MS) {
        unhide();
        entries.delete(credential);
      }
    }
  }

  return {
    add(credential, run) {
      makeRoom();
      const { secret } = credential;
      const unhide = secret === null ? () => undefined : hideInLog(deps.log, secret.reveal());
      entries.set(credential, { run, unhide, goneAt: null, owed: null, revoking: null });
    },
    async revoke(credential, log) {
      const entry = entries.get(credential);
      if (entry !== undefined) {
        entry.revoking ??= tryRevoke(credential, entry, log);
        await entry.revoking;
      }
    },
    async retry() {
      const due = [...entries].filter(([, { owed }]) => owed !== null && clock.now() >= owed.until);
      let count = 0;
      for (const [credential, entry] of due) {
        if (hasExpired(credential)) {
          giveUp(credential, entry);
          continue;
        }
        count += (await tryRevoke(credential, entry, deps.log.child({ run: entry.run }))) ? 1 : 0;
      }
      return count;
    },
    secrets(run) {
      forget();
      const wanted = [...entries].filter(([, entry]) => run === undefined || entry.run === run);
      return [...new Set(wanted.flatMap(([{ secret }]) => (secret === null ? [] : [secret.reveal()])))];
    },
  };
}
