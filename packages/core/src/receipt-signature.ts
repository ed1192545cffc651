import { z } from "zod";
import { type Digest, isDigest } from "./ids.ts";
import type { Receipt } from "./render/receipt.ts";

/** What the signed bytes are, so that a signature of ours over something else never passes for one over a receipt. */
const PAYLOAD_TYPE = "application/vnd.mayfly.receipt+json";

/** A receipt is some kilobytes and its prompt. */
export const RECEIPT_CHARS_MAX = 2 * 1024 * 1024;
/** Our receipts are 6 deep. */
export const RECEIPT_DEPTH_MAX = 32;

/** ed25519 (RFC 8032) over `receiptSigningText`. */
export const receiptSignatureSchema = z.strictObject({
  algorithm: z.literal("ed25519"),
  /** The SHA-256 of the public key's DER form (SPKI). */
  keyId: z.string().refine(isDigest),
  /** 64 bytes in base64. */
  value: z.string().regex(/^[A-Za-z0-9+/]{86}==$/),
});

export interface ReceiptSignature {
  readonly algorithm: "ed25519";
  readonly keyId: Digest;
  readonly value: string;
}

/** A receipt as it is stored and shown: itself, and who vouches for it; null where nobody does. */
export type SignedReceipt = Receipt & { readonly signature: ReceiptSignature | null };

/**
 * What is signed: DSSE's pre-authentication encoding of the receipt without its `signature`, in the one form that
 * RFC 8785 gives every JSON value. So a receipt may be printed, indented and parsed again, and its signature stays good
 * as long as every value in it stays what it was.
 *
 * @param receipt A parsed JSON object, with or without `signature`.
 * @returns Text to be signed as UTF-8.
 */
export function receiptSigningText(receipt: Readonly<Record<string, unknown>>): string {
  const { signature: _apart, ...covered } = receipt;
  const payload = canonicalJson(covered);
  return `DSSEv1 ${utf8Length(PAYLOAD_TYPE)} ${PAYLOAD_TYPE} ${utf8Length(payload)} ${payload}`;
}

/** JSON in the canonical form of RFC 8785: members sorted by UTF-16 code units, no white space, numbers as ECMAScript has them. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map(canonicalJson).join(",")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
