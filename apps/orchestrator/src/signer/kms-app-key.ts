import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { setTimeout as after } from "node:timers/promises";
import {
  GetPublicKeyCommand,
  type GetPublicKeyCommandOutput,
  KMSClient,
  type KMSClientConfig,
  SignCommand,
} from "@aws-sdk/client-kms";
import { AppError } from "@mayfly/core";
import { type AppKey, MODULUS_BITS_MIN } from "./app-key.ts";

const ALGORITHM = "RSASSA_PKCS1_V1_5_SHA_256";
/** KMS answers within some tens of milliseconds. */
const CALL_MS = 4_000;
/** With the waits between them a signature is there, or given up, within half a minute: whoever asked still waits then. */
const CALLS_MAX = 5;
/** Doubles from the first. KMS allows an account some hundred signatures a second, so a throttle passes soon. */
const PAUSE_MS = 250;

/** Limit: what KMS says to too many requests. */
const throttles = new Set(["ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "Throttling"]);

/** What a person can do about KMS's own names for a no. */
const reasons: Readonly<Record<string, string>> = {
  NotFoundException: "there is no such key in its region",
  DisabledException: "the key is disabled",
  KMSInvalidStateException: "nothing was imported into the key yet, or it waits to be deleted",
  AccessDeniedException: "this host has no right to kms:Sign and kms:GetPublicKey with the key",
  CredentialsProviderError:
    "there are no AWS credentials: give the host a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
};

/** A client of KMS that never repeats a call by itself. Without credentials the SDK looks for files and the host's role. */
export function createKmsClient(options: {
  region: string;
  /** Null for KMS's public address. */
  endpoint: string | null;
  credentials?: NonNullable<KMSClientConfig["credentials"]>;
}): KMSClient {
  const { region, endpoint, credentials } = options;
  return new KMSClient({
    region,
    maxAttempts: 1,
    ...(endpoint === null ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  });
}

/**
 * The App's key where KMS keeps it. Asks for its public half first. Throws CONFIG_INVALID for a key that cannot sign a
 * JWT of GitHub's, APP_KEY_UNAVAILABLE while KMS does not let us use it, as does every `sign`.
 *
 * @param pause Waits so many ms between two tries. Given, so that a test need not wait.
 */
export async function openKmsAppKey(options: {
  kms: KMSClient;
  arn: string;
  pause?: (ms: number) => Promise<unknown>;
}): Promise<AppKey> {
  const { kms, arn, pause = (ms) => after(ms) } = options;
  const known = await persist(pause, (abortSignal) =>
    kms.send(new GetPublicKeyCommand({ KeyId: arn }), { abortSignal }),
  );
  const publicKey = checkKey(known, arn);
  return {
    async sign(data) {
      // The digest alone, which always fits: KMS takes 4,096 bytes of a message and no more.
      const Message = createHash("sha256").update(data).digest();
      const request = { KeyId: arn, Message, MessageType: "DIGEST", SigningAlgorithm: ALGORITHM } as const;
      const { Signature: signature } = await persist(pause, (abortSignal) =>
        kms.send(new SignCommand(request), { abortSignal }),
      );
      if (signature === undefined || !verify("sha256", data, publicKey, signature)) {
        throw new AppError("APP_KEY_UNAVAILABLE", "KMS answered with a signature that is not the App's key's");
      }
      return signature;
    },
  };
}

/** A wrong key does not get better by waiting. */
function checkKey(known: GetPublicKeyCommandOutput, arn: string): KeyObject {
  const { KeyUsage, SigningAlgorithms = [], PublicKey } = known;
  const key = readKey(PublicKey);
  const bits = key?.asymmetricKeyType === "rsa" ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : 0;
  if (KeyUsage !== "SIGN_VERIFY" || !SigningAlgorithms.includes(ALGORITHM)) {
    throw wrongKey(arn, `it has to be for ${ALGORITHM} (key usage SIGN_VERIFY)`);
  }
  if (key === null || bits < MODULUS_BITS_MIN) {
    throw wrongKey(arn, `it has to be an RSA key of ${MODULUS_BITS_MIN} bits or more`);
  }
  return key;
}

function readKey(der: Uint8Array | undefined): KeyObject | null {
  try {
    return createPublicKey({ key: Buffer.from(der ?? []), format: "der", type: "spki" });
  } catch {
    return null;
  }
}

function wrongKey(arn: string, why: string, cause?: unknown): AppError {
  return new AppError("CONFIG_INVALID", `github.kms_key: ${arn} cannot be the App's key: ${why}`, { cause });
}

/** Asks until KMS answers or says no for good. Both calls change nothing, so they may be made again. */
async function persist<Output>(
  pause: (ms: number) => Promise<unknown>,
  call: (abortSignal: AbortSignal) => Promise<Output>,
): Promise<Output> {
  for (let calls = 1; ; calls++) {
    try {
      return await call(AbortSignal.timeout(CALL_MS));
    } catch (cause) {
      const name = cause instanceof Error ? cause.name : "unknown";
      // A symmetric key has no public half, and KMS says so in these words.
      if (name === "UnsupportedOperationException" || name === "InvalidKeyUsageException") {
        throw wrongKey("the key", "it is no RSA key for signing", cause);
      }
      if (!isPassing(cause, name) || calls >= CALLS_MAX) {
        const why = reasons[name] ?? `${name}, after ${calls} ${calls === 1 ? "try" : "tries"}`;
        throw new AppError("APP_KEY_UNAVAILABLE", `KMS does not sign with the App's key: ${why}`, { cause });
      }
      await pause(PAUSE_MS * 2 ** (calls - 1));
    }
  }
}

/** Whether the same call may get another answer: throttles, KMS's own faults, and lines that broke. */
function isPassing(error: unknown, name: string): boolean {
  if (throttles.has(name)) {
    return true;
  }
  const { $metadata, $fault } = error as { $metadata?: { httpStatusCode?: number }; $fault?: string };
  const status = $metadata?.httpStatusCode;
  return name !== "CredentialsProviderError" && (status === undefined || status >= 500 || $fault === "server");
}
