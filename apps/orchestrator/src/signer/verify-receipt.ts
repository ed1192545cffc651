import { verify } from "node:crypto";
import {
  RECEIPT_CHARS_MAX,
  RECEIPT_DEPTH_MAX,
  type ReceiptSignature,
  receiptSignatureSchema,
  receiptSigningText,
  readStrictJson,
} from "@mayfly/core";
import { isReceipt, parsePublicKey } from "./receipt-keys.ts";
import type { ReceiptPublicKey } from "./signer.ts";

/** Every way in which a text may be no good receipt, in words, and what to do about it. */
const faults = {
  not_json: {
    message: "this is not the JSON of a receipt",
    fix: "Get the receipt again: mayfly receipt show RUN > receipt.json.",
  },
  not_a_receipt: {
    message: "this is JSON, but no receipt: it lacks schema or run",
    fix: "Give the receipt itself, as mayfly receipt show RUN prints it, not a document that holds it.",
  },
  unsigned: {
    message: "nobody signed this receipt",
    fix: "Only the service signs: a local run's receipt is not signed. If it is the service's, it has been tampered with.",
  },
  signature_malformed: {
    message: "the receipt's signature is damaged",
    fix: "Get the receipt again: mayfly receipt show RUN > receipt.json. If it stays so, treat it as forged.",
  },
  key_unknown: {
    message: "the receipt is signed with a key that is not in the folder",
    fix: "Name the folder with this service's public keys: --keys FOLDER. Take no key from who gave you the receipt.",
  },
  signature_wrong: {
    message: "the signature does not fit: what the receipt says was changed after it was signed, or the signature was",
    fix: "Do not rely on it. Get the receipt again from the service: mayfly receipt show RUN > receipt.json.",
  },
} as const;

type ReceiptFault = keyof typeof faults;

export type ReceiptVerdict =
  | { readonly ok: true; readonly signature: ReceiptSignature; readonly receipt: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly code: ReceiptFault; readonly message: string; readonly fix: string };

/** Whether one of these keys signed exactly what the text says. Needs no network, no clock and no service. Never throws. */
export function verifyReceipt(text: string, keys: readonly ReceiptPublicKey[]): ReceiptVerdict {
  const read = readStrictJson(text, { depthMax: RECEIPT_DEPTH_MAX, charsMax: RECEIPT_CHARS_MAX });
  if (!read.ok) {
    return no("not_json", read.why.replaceAll("_", " "));
  }
  const receipt = read.value;
  if (!isReceipt(receipt)) {
    return no("not_a_receipt");
  }
  if (receipt["signature"] === undefined || receipt["signature"] === null) {
    return no("unsigned");
  }
  const parsed = receiptSignatureSchema.safeParse(receipt["signature"]);
  if (!parsed.success) {
    return no("signature_malformed");
  }
  const signature = parsed.data as ReceiptSignature;
  const pem = keys.find(({ keyId }) => keyId === signature.keyId)?.pem;
  const key = pem === undefined ? null : parsePublicKey(pem);
  if (key === null) {
    return no("key_unknown", signature.keyId);
  }
  const isGood = verify(null, Buffer.from(receiptSigningText(receipt)), key, Buffer.from(signature.value, "base64"));
  return isGood ? { ok: true, signature, receipt } : no("signature_wrong");
}

function no(code: ReceiptFault, more?: string): ReceiptVerdict {
  const { message, fix } = faults[code];
  return { ok: false, code, message: more === undefined ? message : `${message} (${more})`, fix };
}
