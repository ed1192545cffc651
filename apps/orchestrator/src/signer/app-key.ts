import { createPrivateKey, hkdfSync, sign } from "node:crypto";
import { AppError, type Instant } from "@mayfly/core";

/** GitHub takes a JWT that expires within 10 minutes; two are left for clocks that differ. */
const JWT_LIFE_S = 8 * 60;
/** GitHub's advice against clocks that differ: issued a minute ago. */
const JWT_AGED_S = 60;
/** GitHub's own keys have 2048 bits. */
export const MODULUS_BITS_MIN = 2048;
/** No JWT has this form, so its signature is good for nothing at GitHub. */
const LEDGER_LABEL = "mayfly: the key of the token ledger, 1";

/** The App's private key: all it does is sign, so that a key that never leaves its hardware fits as well. */
export interface AppKey {
  /** RSASSA-PKCS1-v1_5 with SHA-256 over the bytes: the same for the same bytes. */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** A key from a PEM text as GitHub hands it out. Throws CONFIG_INVALID, never with any of the text. */
export function createPemAppKey(pem: string): AppKey {
  const key = readKey(pem);
  if (key?.asymmetricKeyType !== "rsa" || (key.asymmetricKeyDetails?.modulusLength ?? 0) < MODULUS_BITS_MIN) {
    throw new AppError(
      "CONFIG_INVALID",
      "the App's private key is no RSA key in PEM: download a new one from the App's settings on GitHub",
    );
  }
  return { sign: async (data) => sign("sha256", data, key) };
}

/** What proves to GitHub for some minutes that we are the App. */
export async function createAppJwt(options: { key: AppKey; appId: number; now: Instant }): Promise<string> {
  const nowS = Math.floor(options.now / 1000);
  const header = { alg: "RS256", typ: "JWT" };
  const claims = { iat: nowS - JWT_AGED_S, exp: nowS + JWT_LIFE_S, iss: String(options.appId) };
  const input = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${input}.${Buffer.from(await options.key.sign(Buffer.from(input))).toString("base64url")}`;
}

/**
 * 32 bytes that only who can use the App's key can make, and makes again after a restart: drawn (HKDF) from its signature
 * over a fixed label, since a key in hardware gives nothing else away.
 */
export async function deriveLedgerKey(key: AppKey): Promise<Uint8Array> {
  const drawn = await key.sign(Buffer.from(LEDGER_LABEL));
  return new Uint8Array(hkdfSync("sha256", drawn, "", LEDGER_LABEL, 32));
}

function readKey(pem: string) {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}
