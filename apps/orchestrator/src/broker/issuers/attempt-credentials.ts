import type { Clock, Instant } from "@mayfly/core";
import type { Logger } from "pino";
import type { Borrower, Credential, Issuer } from "./issuer.ts";
import type { Ledger } from "./ledger.ts";

/** A credential as one model call has it. */
export interface Loan {
  /** Headers for the model, the secret among them: send them, and keep them nowhere. */
  headers(): Record<string, string>;
  /**
   * The model does not take it, whatever our clock says: the next loan is of another one, if the issuer makes another.
   * That is once for an attempt, since a model that refuses its successor too would be shown keys without end.
   */
  refuse(): void;
  /** The call is over, however it ended. Idempotent. */
  done(): void;
}

/** What one attempt has: one credential at a time, and those before it while calls still use them. */
export interface AttemptCredentials {
  /** Null once it has ended. Throws what the issuer throws. */
  lend(borrower: Borrower): Promise<Loan | null>;
  /** Revokes everything, whoever uses it. Idempotent, never throws. */
  end(): Promise<void>;
}

/** A credential is renewed after this part of its life: the rest covers clocks that differ and an issuer in trouble. */
const RENEWAL_PART = 3 / 4;
/** While a credential still holds, the issuer is asked for its successor no more often than this. */
const RENEWAL_PAUSE_MS = 30_000;

interface Held {
  readonly credential: Credential;
  renewAt: Instant | null;
  calls: number;
  /** A newer one has taken its place: it goes once no call uses it. */
  isReplaced: boolean;
}

export function createAttemptCredentials(deps: {
  issuer: Issuer;
  ledger: Ledger;
  clock: Clock;
  /** Says of which attempt it speaks. */
  log: Logger;
}): AttemptCredentials {
  const { issuer, ledger, clock, log } = deps;
  const all = new Set<Held>();
  let current: Held | null = null;
  let pending: Promise<Held> | null = null;
  let ending: Promise<void> | null = null;
  let wasRefused = false;

  /** The present one; one for all who ask while it is made. */
  async function present(borrower: Borrower): Promise<Held> {
    if (pending === null && current !== null && !isDue(current.renewAt)) {
      return current;
    }
    pending ??= renew(borrower).finally(() => {
      pending = null;
    });
    return await pending;
  }

  /** A credential that still holds is used on when no other can be had. */
  async function renew(borrower: Borrower): Promise<Held> {
    const old = current;
    try {
      current = await make(borrower);
    } catch (error) {
      if (old === null || isDue(old.credential.expiresAt)) {
        throw error;
      }
      old.renewAt = clock.now() + RENEWAL_PAUSE_MS;
      log.warn({ err: error }, "a model credential could not be renewed yet");
      return old;
    }
    if (old !== null) {
      old.isReplaced = true;
      dropUnused(old);
    }
    return current;
  }

  async function make(borrower: Borrower): Promise<Held> {
    const from = clock.now();
    const credential = await issuer.issue(borrower);
    ledger.add(credential, borrower.run);
    const { expiresAt } = credential;
    const renewAt = expiresAt === null ? null : from + (expiresAt - from) * RENEWAL_PART;
    const held: Held = { credential, renewAt, calls: 0, isReplaced: false };
    all.add(held);
    return held;
  }

  function loanOf(held: Held): Loan {
    let isDone = false;
    held.calls += 1;
    return {
      headers: () => held.credential.headers(),
      refuse() {
        if (issuer.makesAnother && !wasRefused && held === current) {
          wasRefused = true;
          held.renewAt = clock.now();
          log.warn("the model refuses a credential that should be good; another is made, once for this attempt");
        }
      },
      done() {
        if (!isDone) {
          isDone = true;
          held.calls -= 1;
          dropUnused(held);
        }
      },
    };
  }

  function dropUnused(held: Held): void {
    if (held.isReplaced && held.calls === 0 && all.delete(held)) {
      void ledger.revoke(held.credential, log);
    }
  }

  async function revokeAll(): Promise<void> {
    await pending?.catch(() => undefined);
    await Promise.all([...all].map(({ credential }) => ledger.revoke(credential, log)));
  }

  function hasEnded(): boolean {
    return ending !== null;
  }

  function isDue(at: Instant | null): boolean {
    return at !== null && clock.now() >= at;
  }

  return {
    async lend(borrower) {
      for (;;) {
        if (hasEnded()) {
          return null;
        }
        const held = await present(borrower);
        // While this call waited, the attempt may have ended, or the next credential may have come.
        if (!hasEnded() && !held.isReplaced) {
          return loanOf(held);
        }
      }
    },
    async end() {
      ending ??= revokeAll();
      await ending;
    },
  };
}
