/** Asymmetric keys as KMS keeps them, and what it says to a call that does not fit one. */
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
} from "node:crypto";

/** A no of KMS's, by its own name. */
export class KmsRefusal extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.name = "KmsRefusal";
    this.code = code;
    this.status = status;
  }
}

export interface FakeKey {
  readonly arn: string;
  /** Null for a symmetric key. */
  readonly pair: KeyObject | null;
  readonly usage: "SIGN_VERIFY" | "ENCRYPT_DECRYPT";
  state: "Enabled" | "Disabled" | "PendingImport" | "PendingDeletion";
}

/** Limit: KMS takes so many bytes of a message; of a longer one it wants the digest. */
const MESSAGE_BYTES_MAX = 4_096;
const SHA_256_BYTES = 32;
/** What stands before a SHA-256 digest in a signature of PKCS #1 v1.5 (RFC 8017, 9.2). */
const DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");
const SHA_256 = "RSASSA_PKCS1_V1_5_SHA_256";
const rsaAlgorithms = ["PKCS1_V1_5", "PSS"].flatMap((form) =>
  [256, 384, 512].map((bits) => `RSASSA_${form}_SHA_${bits}`),
);

export interface NewKey {
  /** PEM of a private key; one is made where there is none. */
  readonly pem?: string | null;
  /** Of the key that is made. */
  readonly kind?: "rsa" | "ec" | "symmetric";
  readonly usage?: FakeKey["usage"];
}

export function makeKey(arn: string, { pem = null, kind = "rsa", usage = "SIGN_VERIFY" }: NewKey): FakeKey {
  return { arn, pair: pem === null ? generate(kind) : createPrivateKey(pem), usage, state: "Enabled" };
}

function generate(kind: NonNullable<NewKey["kind"]>): KeyObject | null {
  if (kind === "symmetric") {
    return null;
  }
  return kind === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey
    : generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

/** The answer to GetPublicKey. Throws a KmsRefusal. */
export function publicHalf(key: FakeKey): Record<string, unknown> {
  checkState(key);
  if (key.pair === null) {
    throw new KmsRefusal("UnsupportedOperationException", "The key is a symmetric one.");
  }
  const isRsa = key.pair.asymmetricKeyType === "rsa";
  const spec = isRsa ? `RSA_${key.pair.asymmetricKeyDetails?.modulusLength}` : "ECC_NIST_P256";
  const algorithms =
    key.usage === "SIGN_VERIFY"
      ? { SigningAlgorithms: algorithmsOf(key.pair) }
      : { EncryptionAlgorithms: ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"] };
  return {
    KeyId: key.arn,
    PublicKey: createPublicKey(key.pair).export({ format: "der", type: "spki" }).toString("base64"),
    CustomerMasterKeySpec: spec,
    KeySpec: spec,
    KeyUsage: key.usage,
    ...algorithms,
  };
}

/** The answer to Sign. Throws a KmsRefusal. */
export function signed(
  key: FakeKey,
  call: { message: Buffer; type: string; algorithm: string },
): Record<string, unknown> {
  const { message, type, algorithm } = call;
  checkState(key);
  if (key.pair === null || key.usage !== "SIGN_VERIFY") {
    throw new KmsRefusal(
      "InvalidKeyUsageException",
      `${key.arn} key usage is ${key.usage} which is not valid for Sign.`,
    );
  }
  if (!algorithmsOf(key.pair).includes(algorithm)) {
    throw new KmsRefusal("InvalidKeyUsageException", `Algorithm ${algorithm} is incompatible with the key.`);
  }
  if (algorithm !== SHA_256) {
    throw new KmsRefusal("KMSInternalException", `The stand-in does not sign with ${algorithm}.`, 500);
  }
  const digest = type === "DIGEST" ? message : createHash("sha256").update(message).digest();
  if (digest.length !== SHA_256_BYTES || message.length > MESSAGE_BYTES_MAX || message.length === 0) {
    throw new KmsRefusal("ValidationException", "The message or digest is not of a valid length.");
  }
  const padded = { key: key.pair, padding: constants.RSA_PKCS1_PADDING };
  const signature = privateEncrypt(padded, Buffer.concat([DIGEST_INFO, digest]));
  return { KeyId: key.arn, Signature: signature.toString("base64"), SigningAlgorithm: algorithm };
}

function algorithmsOf(pair: KeyObject): string[] {
  return pair.asymmetricKeyType === "rsa" ? rsaAlgorithms : ["ECDSA_SHA_256"];
}

function checkState({ state, arn }: FakeKey): void {
  if (state === "Disabled") {
    throw new KmsRefusal("DisabledException", `${arn} is disabled.`);
  }
  if (state !== "Enabled") {
    throw new KmsRefusal(
      "KMSInvalidStateException",
      `${arn} is pending ${state === "PendingImport" ? "import" : "deletion"}.`,
    );
  }
}
