import { setTimeout as delay } from "node:timers/promises";
import type { Secret } from "@mayfly/core";

/** A metadata service answers in milliseconds; where there is none the SDK waits a second. */
const CREDENTIALS_MS = 5_000;

/** A key of AWS that was given by the environment. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret | null;
}

/** As the SDK takes them. */
export function reveal({ accessKeyId, secretAccessKey, sessionToken }: AwsCredentials) {
  const session = sessionToken === null ? {} : { sessionToken: sessionToken.reveal() };
  return { accessKeyId, secretAccessKey: secretAccessKey.reveal(), ...session };
}

/**
 * The SDK loads each way to credentials when it first goes it, so it goes them once, and what it finds is dropped: who
 * goes them later is not root. Ends the client.
 */
export async function goWaysToCredentials(client: {
  readonly config: { readonly credentials: () => Promise<unknown> };
  destroy(): void;
}): Promise<void> {
  const found = client.config.credentials().catch(() => undefined);
  const over = new AbortController();
  const tooLong = delay(CREDENTIALS_MS, undefined, { signal: over.signal }).catch(() => undefined);
  await Promise.race([found, tooLong]);
  over.abort();
  client.destroy();
}
