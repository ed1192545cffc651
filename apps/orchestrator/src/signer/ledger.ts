import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { AppError, type Instant } from "@mayfly/core";
import type { Logger } from "pino";
import { z } from "zod";
import { hideInLog } from "../host/log.ts";
import { writeDurably } from "./write-durably.ts";

/** Tokens that live at once; a busy service has some tens. */
const ENTRIES_MAX = 512;
/** Sessions that are over and would be refused; an older one has long ended. */
const ENDED_MAX = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ABOUT = Buffer.from("mayfly token ledger 1");

const entrySchema = z.strictObject({
  token: z.string(),
  purpose: z.string(),
  session: z.string(),
  mintedAt: z.number(),
  expiresAt: z.number(),
  released: z.boolean(),
});
const stateSchema = z.strictObject({
  session: z.string().nullable(),
  ended: z.array(z.string()),
  entries: z.array(entrySchema),
});

/** A token that was minted and is not known to be dead. */
export interface LedgerEntry {
  readonly token: string;
  readonly purpose: string;
  /** Whom it was minted for. */
  readonly session: string;
  readonly mintedAt: Instant;
  readonly expiresAt: Instant;
  /** Given back: to be revoked now. */
  readonly released: boolean;
}

/**
 * Every token that was minted and not yet revoked, on disk before it is handed out, and shown in no log. Throws
 * STORE_UNAVAILABLE.
 */
export interface Ledger {
  readonly entries: () => readonly LedgerEntry[];
  /** The session that tokens are minted for now. */
  readonly session: () => string | null;
  /** Makes it the present session, if it is not, and the one before it history. False for one that is history. */
  enter(session: string): Promise<{ entered: boolean; isNew: boolean }>;
  /** On disk when this returns. */
  add(entry: LedgerEntry): Promise<void>;
  /** Its borrower needs it no longer. In memory alone: after a crash its age says the same. */
  release(token: string): void;
  /** It is dead. Idempotent. */
  forget(token: string): Promise<void>;
}

/**
 * Opens the file or begins it. It is encrypted (AES-256-GCM), so that the file alone gives no token away; one that
 * cannot be read with this key, as after the App's key was changed, is begun anew: what was in it expires within the hour.
 */
export async function openLedger(options: { file: string; key: Uint8Array; log: Logger }): Promise<Ledger> {
  const { file, key, log } = options;
  let { session, ended, entries } = await readState(file, key, log);
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | null = null;
  const unhide = new Map(entries.map(({ token }) => [token, hideInLog(log, token)]));

  /** Resolves once what is true now is on disk; many who wait are served by one write. */
  function save(): Promise<void> {
    next ??= writing
      .catch(() => undefined)
      .then(() => {
        next = null;
        writing = writeDurably(file, encrypt(key, JSON.stringify({ session, ended, entries })));
        return writing;
      });
    return next.catch((cause: unknown) => {
      throw new AppError("STORE_UNAVAILABLE", `the signer's ledger ${file} cannot be written`, { cause });
    });
  }

  return {
    entries: () => entries,
    session: () => session,
    async enter(asked) {
      if (ended.includes(asked)) {
        return { entered: false, isNew: false };
      }
      if (session === asked) {
        return { entered: true, isNew: false };
      }
      ended = [...ended, ...(session === null ? [] : [session])].slice(-ENDED_MAX);
      session = asked;
      await save();
      return { entered: true, isNew: true };
    },
    async add(entry) {
      // One that does not get in stays hidden as well: whoever tells of it must not tell the token.
      const show = hideInLog(log, entry.token);
      if (entries.length >= ENTRIES_MAX) {
        throw new AppError("STORE_UNAVAILABLE", "too many tokens live at once");
      }
      entries = [...entries, entry];
      unhide.set(entry.token, show);
      try {
        await save();
      } catch (error) {
        unhide.delete(entry.token);
        entries = entries.filter(({ token }) => token !== entry.token);
        throw error;
      }
    },
    release(token) {
      entries = entries.map((entry) => (entry.token === token ? { ...entry, released: true } : entry));
    },
    async forget(token) {
      if (entries.some((entry) => entry.token === token)) {
        entries = entries.filter((entry) => entry.token !== token);
        unhide.get(token)?.();
        unhide.delete(token);
        await save();
      }
    },
  };
}

type State = z.infer<typeof stateSchema>;

async function readState(file: string, key: Uint8Array, log: Logger): Promise<State> {
  const sealed = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      return null;
    }
    throw error;
  });
  if (sealed !== null) {
    try {
      return stateSchema.parse(JSON.parse(decrypt(key, sealed)));
    } catch {
      log.warn({ file }, "the token ledger cannot be read with this App key and is begun anew");
    }
  }
  return { session: null, ended: [], entries: [] };
}

function encrypt(key: Uint8Array, text: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(ABOUT);
  return Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, sealed: Buffer): string {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(ABOUT)
    .setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString("utf8");
}
