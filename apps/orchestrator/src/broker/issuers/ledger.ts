import type { Clock, Instant, RunId } from "@mayfly/core";
import type { Logger } from "pino";
import { hideInLog } from "../../host/log.ts";
import type { Credential } from "./issuer.ts";
import { nextPause, type Pause } from "./retry-pause.ts";

/** Every credential of this process, until it has been worthless for an hour. */
export interface Ledger {
  /** Its secret is kept out of the log for as long. */
  add(credential: Credential, run: RunId): void;
  /** Revokes it, once for all who ask at the same time. Never throws: what resists is left to `retry`. */
  revoke(credential: Credential, log: Logger): Promise<void>;
  /**
   * Tries again what could not be revoked, for ever and ever more rarely: hourly in the end. To be called about once a
   * minute. Returns how many gave way. Never throws.
   */
  retry(): Promise<number>;
  /** Every secret that is worth something now or was within the last hour: this run's, or all. */
  secrets(run?: RunId): string[];
}

/** A result comes minutes after its attempt at most; an hour leaves room for a publication that had to wait. */
export const MEMORY_MS = 60 * 60_000;

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

export function createLedger(deps: { clock: Clock; log: Logger }): Ledger {
  const { clock } = deps;
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
      forget();
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
