import type { Digest, Receipt, ReceiptSignature, SignedReceipt } from "@mayfly/core";
import { ensurePublicKeys } from "./receipt-keys.ts";
import type { Signer } from "./signer.ts";

/** Signs a receipt's JSON. */
export type SignReceipt = (receipt: string) => Promise<ReceiptSignature>;

/**
 * Signs with the signer's key, and sees to it that the public half lies in that folder before any receipt that needs it,
 * also when the signer has come back with another key.
 */
export function createSignReceipt(deps: {
  signer: Pick<Signer, "signReceipt" | "publicKeys">;
  folder: string;
}): SignReceipt {
  const { signer, folder } = deps;
  const kept = new Set<Digest>();
  return async (receipt) => {
    const signature = await signer.signReceipt(receipt);
    if (!kept.has(signature.keyId)) {
      const keys = await signer.publicKeys();
      await ensurePublicKeys(folder, keys);
      keys.forEach(({ keyId }) => kept.add(keyId));
    }
    return signature;
  };
}

/**
 * The receipt as it is stored: indented JSON with its signature as the last member.
 *
 * @param sign Null where nobody vouches for receipts, as on a run without the service.
 */
export async function sealReceipt(receipt: Receipt, sign: SignReceipt | null): Promise<string> {
  // Halves of surrogate pairs, which a guest may send, have no form in UTF-8 that could be signed.
  const text = JSON.stringify(receipt, (_name, value: unknown) =>
    typeof value === "string" ? value.toWellFormed() : value,
  );
  const sealed: SignedReceipt = {
    ...(JSON.parse(text) as Receipt),
    signature: sign === null ? null : await sign(text),
  };
  return `${JSON.stringify(sealed, null, 2)}\n`;
}
