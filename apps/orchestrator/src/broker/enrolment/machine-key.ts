import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import type { Digest } from "@mayfly/core";

/** The public key in its only form, DER; null for anything that is not a key on P-256 written as everybody writes it. */
export function readMachineKey(base64: string): Buffer | null {
  const given = Buffer.from(base64, "base64");
  let key: KeyObject;
  try {
    key = createPublicKey({ key: given, format: "der", type: "spki" });
  } catch {
    return null;
  }
  const isP256 = key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
  return isP256 && spkiOf(key).equals(given) ? given : null;
}

/** What a key is known by in the records. */
export function digestOfKey(spki: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(spki).digest("hex")}` as Digest;
}

/** What a key is known by in an image. */
export function pinOfKey(key: KeyObject): string {
  return createHash("sha256").update(spkiOf(key)).digest("base64url");
}

export function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" });
}
