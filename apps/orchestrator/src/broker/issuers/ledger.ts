import type { Clock, Instant } from "@mayfly/core";
import type { Logger } from "pino";
import type { Credential } from "./issuer.ts";

/** Every credential of this process, until it has been worthless for an hour. */
export interface Ledger {
  add(credential: Credential): void;
  /** Revokes it, once for all who ask at the same time. Never throws: what resists is left to `retry`. */
  revoke(credential: Credential, log: Logger): Promise<void>;
  /** Tries again what could not be revoked. Returns how many gave way. Never throws. */
  retry(): Promise<number>;
  /** Every secret that is worth something now or was within the last hour. */
  secrets(): string[];
}

/** A result comes minutes after its attempt at most; an hour leaves room for a publication that had to wait. */
export const MEMORY_MS = 60 * 60_000;

interface Entry {
  /** Since when it is worth nothing; null while it is. */
  goneAt: Instant | null;
  /** It should be gone, and is not. */
  isOwed: boolean;
  revoking: Promise<void> | null;
}

export function createLedger({ clock }: { clock: Clock }): Ledger {
  const entries = new Map<Credential, Entry>();

  async function tryRevoke(credential: Credential, entry: Entry): Promise<{ error: unknown } | null> {
    try {
      await credential.revoke();
      entry.goneAt = clock.now();
      entry.isOwed = false;
      return null;
    } catch (error) {
      entry.isOwed = true;
      return { error };
    }
  }

  async function revokeOnce(credential: Credential, entry: Entry, log: Logger): Promise<void> {
    const fault = await tryRevoke(credential, entry);
    if (fault !== null) {
      log.warn({ err: fault.error }, "a model credential could not be revoked yet");
    }
  }

  function forget(): void {
    for (const [credential, { goneAt }] of entries) {
      if (goneAt !== null && clock.now() - goneAt > MEMORY_MS) {
        entries.delete(credential);
      }
    }
  }

  return {
    add(credential) {
      forget();
      entries.set(credential, { goneAt: null, isOwed: false, revoking: null });
    },
    async revoke(credential, log) {
      const entry = entries.get(credential);
      if (entry !== undefined) {
        entry.revoking ??= revokeOnce(credential, entry, log);
        await entry.revoking;
      }
    },
    async retry() {
      const owed = [...entries].filter(([, { isOwed }]) => isOwed);
      let count = 0;
      for (const [credential, entry] of owed) {
        count += (await tryRevoke(credential, entry)) === null ? 1 : 0;
      }
      return count;
    },
    secrets() {
      forget();
      return [...new Set([...entries.keys()].flatMap(({ secret }) => (secret === null ? [] : [secret.reveal()])))];
    },
  };
}
