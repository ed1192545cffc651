import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { AppError, type Clock } from "@mayfly/core";
import type { Logger } from "pino";
import { createAppClient } from "./app-client.ts";
import { type AppKey, deriveLedgerKey } from "./app-key.ts";
import { type AppAnswers, appRequests, type AppRoute } from "./app-requests.ts";
import { namingFaults } from "./github-faults.ts";
import { type LedgerEntry, openLedger } from "./ledger.ts";
import { mintToken } from "./mint-token.ts";
import { octokitOptions } from "./octokit-options.ts";
import { purposes } from "./purposes.ts";
import { openReceiptKeys } from "./receipt-keys.ts";
import { createRevoke } from "./revoke-token.ts";
import type { MintedToken, MintRequest, Signer } from "./signer.ts";

/** How often tokens that should be dead are looked for. */
const SWEEP_MS = 60_000;
/** Tokens revoked at once by a sweep. */
const SWEPT_AT_ONCE = 4;
/** How long GitHub's tokens live: for one whose answer does not say. */
const TOKEN_MS = 60 * 60_000;
/** What the end of the process may take: its supervisor waits a little longer. */
const CLOSE_MS = 5_000;

/** The signer itself. */
export interface SignerCore {
  /** The signer for one life of the service. The first call of a new one revokes every token of the one before. */
  forSession(session: string): Signer;
  /** Revokes what outlived its purpose, was given back, or belongs to a service that is gone. Idempotent, never throws. */
  sweep(): Promise<void>;
  /** Revokes every token, within seconds: for when nobody is at work with any. What could not be revoked is the next start's. */
  revokeAll(): Promise<void>;
  /** Ends the sweeps, and waits a little for one under way. Tokens stay in the ledger for the next start. */
  close(): Promise<void>;
}

/**
 * Opens the signer's folder (made if need be, closed to others), and begins to sweep: at once, and every minute. Throws
 * CONFIG_INVALID for keys that are none.
 */
export async function openSigner(options: {
  folder: string;
  url: string;
  appId: number;
  key: AppKey;
  clock: Clock;
  log: Logger;
}): Promise<SignerCore> {
  const { folder, url, appId, key, clock, log } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const receiptKeys = await openReceiptKeys(folder);
  const ledger = await openLedger({ file: join(folder, "tokens"), key: await deriveLedgerKey(key), log });
  const app = createAppClient({ url, appId, key, clock, log });
  const revoke = createRevoke(octokitOptions({ url, log }));
  let sweeping: Promise<void> | null = null;

  function isDue({ purpose, session, mintedAt, released }: LedgerEntry): boolean {
    const longest = Object.hasOwn(purposes, purpose) ? purposes[purpose as keyof typeof purposes].longestUseMs : 0;
    return released || session !== ledger.session() || clock.now() - mintedAt >= longest;
  }

  /** Once GitHub has answered it is forgotten; until then the next sweep tries again. */
  async function end({ token, expiresAt, purpose }: Omit<LedgerEntry, "session" | "mintedAt">): Promise<void> {
    try {
      if (expiresAt > clock.now()) {
        await revoke(token);
      }
      await ledger.forget(token);
    } catch (err) {
      log.warn({ purpose, err }, "a token is not revoked yet; it is tried again within a minute");
    }
  }

  async function endAll(entries: readonly LedgerEntry[]): Promise<void> {
    for (let at = 0; at < entries.length; at += SWEPT_AT_ONCE) {
      await Promise.all(entries.slice(at, at + SWEPT_AT_ONCE).map(end));
    }
  }

  async function sweepOnce(): Promise<void> {
    await endAll(ledger.entries().filter((entry) => isDue(entry) || entry.expiresAt <= clock.now()));
  }

  /** One at a time; who asks while one is at work gets that one. */
  function sweep(): Promise<void> {
    sweeping ??= sweepOnce().finally(() => (sweeping = null));
    return sweeping;
  }

  async function enter(session: string): Promise<void> {
    const { entered, isNew } = await ledger.enter(session);
    if (!entered) {
      throw new AppError("GITHUB_REFUSED", "the signer serves a newer service");
    }
    if (isNew) {
      // Nobody waits for GitHub to forget what a service before had.
      void sweep();
    }
  }

  async function mint(session: string, request: MintRequest): Promise<MintedToken> {
    const { token, refusal, ...minted } = await mintToken(app, request);
    const expiresAt = minted.expiresAt ?? clock.now() + TOKEN_MS;
    const { purpose } = request;
    // One that is for revoking only is in nobody's hands: the next sweep tries again where GitHub does not let it die.
    const entry = { token, purpose, session, mintedAt: clock.now(), expiresAt, released: refusal !== null };
    try {
      await ledger.add(entry);
    } catch (error) {
      await revoke(token).catch((err: unknown) => log.error({ purpose, err }, "a token of nobody lives for an hour"));
      throw error;
    }
    if (refusal !== null) {
      await end(entry);
      throw refusal;
    }
    return { token, expiresAt };
  }

  async function asApp<Route extends AppRoute>(route: Route, parameters: unknown): Promise<AppAnswers[Route]> {
    const known = Object.hasOwn(appRequests, route) ? appRequests[route] : null;
    const read = known?.parameters.safeParse(parameters);
    if (known === null || read?.success !== true) {
      throw new AppError("INPUT_INVALID", "the signer does not do this");
    }
    // A route of the list, but of no one kind: its own schema has read what goes in and reads what comes out.
    const asked: { data: unknown; headers: { link?: string | undefined } } = await namingFaults(() =>
      app.request(route as string, read.data as Record<string, unknown>),
    );
    const { data, headers } = asked;
    const taken = known.data.safeParse(data);
    if (!taken.success) {
      throw new AppError("GITHUB_UNAVAILABLE", `GitHub's answer to ${route} is not what it should be`);
    }
    const { link } = headers;
    return { data: taken.data, headers: link === undefined ? {} : { link } } as AppAnswers[Route];
  }

  const timer = setInterval(() => void sweep(), SWEEP_MS);
  void sweep();

  return {
    forSession: (session) => ({
      async mint(request) {
        await enter(session);
        return mint(session, request);
      },
      async revoke(token) {
        await enter(session);
        const entry = ledger.entries().find((one) => one.token === token);
        if (entry !== undefined) {
          ledger.release(token);
          await end(entry);
        }
      },
      async asApp(route, parameters) {
        await enter(session);
        return asApp(route, parameters);
      },
      async signReceipt(receipt) {
        await enter(session);
        return receiptKeys.sign(receipt);
      },
      async publicKeys() {
        await enter(session);
        return receiptKeys.publicKeys();
      },
    }),
    sweep,
    revokeAll: () => withinCloseMs(endAll(ledger.entries())),
    async close() {
      clearInterval(timer);
      await withinCloseMs(sweeping);
    },
  };
}

async function withinCloseMs(work: Promise<void> | null): Promise<void> {
  await Promise.race([work, wait(CLOSE_MS, undefined, { ref: false })]);
}
