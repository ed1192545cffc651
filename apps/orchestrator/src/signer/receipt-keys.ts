import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  AppError,
  type Digest,
  isRunId,
  RECEIPT_CHARS_MAX,
  RECEIPT_DEPTH_MAX,
  receiptSigningText,
  type ReceiptSignature,
  readStrictJson,
} from "@mayfly/core";
import type { ReceiptPublicKey } from "./signer.ts";
import { writeDurably } from "./write-durably.ts";

/** A folder holds one key for each rotation. */
const KEYS_MAX = 1_000;
/** An ed25519 key in PEM has 113 characters. */
const PEM_CHARS_MAX = 1_000;

/** Where the service leaves the public keys of its receipts, for anybody to read. */
export function receiptKeysFolder(sharedDir: string): string {
  return `${sharedDir}/receipt-keys`;
}

/** What receipts are signed with. */
export interface ReceiptKeys {
  /** Throws INPUT_INVALID for what is no receipt. */
  sign(receipt: string): ReceiptSignature;
  /** The key in use first, then every earlier one. */
  publicKeys(): Promise<readonly ReceiptPublicKey[]>;
}

/**
 * The key in that folder, made if there is none. Every public half ever used stays beside it, so that a key is changed by
 * taking `receipt-key.pem` away and starting again.
 */
export async function openReceiptKeys(folder: string): Promise<ReceiptKeys> {
  const key = await openPrivateKey(join(folder, "receipt-key.pem"));
  const own = publicKeyOf(createPublicKey(key));
  const publicFolder = join(folder, "receipt-keys");
  await ensurePublicKeys(publicFolder, [own]);
  return {
    sign(receipt) {
      const read = readStrictJson(receipt, { depthMax: RECEIPT_DEPTH_MAX, charsMax: RECEIPT_CHARS_MAX });
      if (!read.ok || !isReceipt(read.value)) {
        throw new AppError("INPUT_INVALID", "what is to be signed is no receipt");
      }
      const value = sign(null, Buffer.from(receiptSigningText(read.value)), key).toString("base64");
      return { algorithm: "ed25519", keyId: own.keyId, value };
    },
    async publicKeys() {
      const known = await readPublicKeys(publicFolder);
      return [own, ...known.filter(({ keyId }) => keyId !== own.keyId)];
    },
  };
}

/** True for what has a receipt's first lines; the rest is its writer's affair. */
export function isReceipt(value: unknown): value is Readonly<Record<string, unknown>> {
  const { schema, run } = (typeof value === "object" ? (value ?? {}) : {}) as { schema?: unknown; run?: unknown };
  return typeof schema === "number" && typeof run === "string" && isRunId(run);
}

/** The public keys lie in that folder, one file each, for anybody to read. Idempotent; takes none away. */
export async function ensurePublicKeys(folder: string, keys: readonly ReceiptPublicKey[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const known = new Set((await readPublicKeys(folder)).map(({ keyId }) => keyId));
  for (const { keyId, pem } of keys) {
    if (!known.has(keyId)) {
      await writeDurably(join(folder, `${keyId.slice("sha256:".length)}.pem`), pem, 0o644);
    }
  }
}

/** Every ed25519 key in that folder, whatever its file's name; a key's id is worked out anew. Throws what reading throws. */
export async function readPublicKeys(folder: string): Promise<ReceiptPublicKey[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".pem")).slice(0, KEYS_MAX);
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8").catch(() => "")));
  return texts.flatMap((text) => {
    const key = text.length > PEM_CHARS_MAX ? null : parsePublicKey(text);
    return key === null ? [] : [publicKeyOf(key)];
  });
}

/** An ed25519 public key in PEM; null for anything else, a private key among it. */
export function parsePublicKey(pem: string): KeyObject | null {
  try {
    const key = pem.includes("PRIVATE") ? null : createPublicKey(pem);
    return key?.asymmetricKeyType === "ed25519" ? key : null;
  } catch {
    return null;
  }
}

function publicKeyOf(key: KeyObject): ReceiptPublicKey {
  const hash = createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("hex");
  return { keyId: `sha256:${hash}` as Digest, pem: key.export({ type: "spki", format: "pem" }).toString() };
}

async function openPrivateKey(file: string): Promise<KeyObject> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      return null;
    }
    throw error;
  });
  if (text === null) {
    const { privateKey } = generateKeyPairSync("ed25519");
    await writeDurably(file, privateKey.export({ type: "pkcs8", format: "pem" }));
    return privateKey;
  }
  try {
    const key = createPrivateKey(text);
    if (key.asymmetricKeyType === "ed25519") {
      return key;
    }
  } catch {
    // Said below, without the text.
  }
  throw new AppError(
    "CONFIG_INVALID",
    `${file} is no ed25519 key: take it away, and a new one is made at the next start`,
  );
}
