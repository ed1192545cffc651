import type { Clock, Instant, RunId } from "@mayfly/core";
import type { Logger } from "pino";
import { type AttemptCredentials, createAttemptCredentials, type Loan } from "./attempt-credentials.ts";
import type { Borrower, IsLive, Issuer } from "./issuer.ts";
import { createLedger, MEMORY_MS } from "./ledger.ts";

/** One live credential for each attempt that calls the model. */
export interface Credentials {
  /**
   * The attempt's credential for one call: made at the first, shared by all, renewed before it expires. Null once the
   * attempt was released. Throws CREDENTIAL_UNAVAILABLE, CREDENTIAL_REFUSED.
   */
  lend(borrower: Borrower): Promise<Loan | null>;
  /**
   * The attempt is over: its credentials are revoked, whoever still uses them, and there are no more. Idempotent.
   * Never throws: what could not be revoked is left to `sweep`. Takes up to a minute when the issuer does not answer.
   */
  release(run: RunId, epoch: number): Promise<void>;
  /** Releases every attempt of this process that is over, wherever that was told. Throws what `isLive` throws. */
  releaseEnded(isLive: IsLive): Promise<void>;
  /**
   * Revokes what is left of attempts that are over: of this process and of those before it. To be called at the start
   * and every few minutes. Returns how many. Throws what `isLive` and the issuer throw.
   */
  sweep(isLive: IsLive): Promise<number>;
  /** Every secret that is worth something now or was within the last hour: this run's, or all. */
  secrets(run?: RunId): string[];
  /** Revokes everything and lends nothing more. Idempotent, never throws. */
  close(): Promise<void>;
}

interface Slot {
  readonly run: RunId;
  readonly epoch: number;
  readonly own: AttemptCredentials;
  /** Kept for an hour after the end, so that a call that comes too late finds it ended. */
  endedAt: Instant | null;
}

/** Holds nothing that must outlive the process: what a crash leaves, the next process sweeps. */
export function createCredentials(deps: { issuer: Issuer; clock: Clock; log: Logger }): Credentials {
  const { issuer, clock, log } = deps;
  const ledger = createLedger({ clock, log });
  const slots = new Map<string, Slot>();
  let sweeping: Promise<number> | null = null;
  let isClosed = false;

  function slotOf(run: RunId, epoch: number): Slot {
    const key = `${run}-${epoch}`;
    const known = slots.get(key);
    if (known !== undefined) {
      return known;
    }
    forgetEnded();
    const own = createAttemptCredentials({ issuer, ledger, clock, log: log.child({ run, epoch }) });
    const slot: Slot = { run, epoch, own, endedAt: null };
    slots.set(key, slot);
    return slot;
  }

  function forgetEnded(): void {
    for (const [key, { endedAt }] of slots) {
      if (endedAt !== null && clock.now() - endedAt > MEMORY_MS) {
        slots.delete(key);
      }
    }
  }

  async function end(slot: Slot): Promise<void> {
    slot.endedAt ??= clock.now();
    await slot.own.end();
  }

  async function releaseEnded(isLive: IsLive): Promise<void> {
    for (const slot of slots.values()) {
      if (slot.endedAt === null && !(await isLive(slot.run, slot.epoch))) {
        await end(slot);
      }
    }
  }

  async function sweepOnce(isLive: IsLive): Promise<number> {
    await releaseEnded(isLive);
    return (await ledger.retry()) + (await issuer.sweep(isLive));
  }

  return {
    async lend(borrower) {
      return isClosed ? null : await slotOf(borrower.run, borrower.epoch).own.lend(borrower);
    },
    async release(run, epoch) {
      await end(slotOf(run, epoch));
    },
    releaseEnded,
    async sweep(isLive) {
      sweeping ??= sweepOnce(isLive).finally(() => {
        sweeping = null;
      });
      return await sweeping;
    },
    secrets: ledger.secrets,
    async close() {
      isClosed = true;
      await Promise.all([...slots.values()].map(end));
    },
  };
}
