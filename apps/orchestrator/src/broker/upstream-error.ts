import type { Readable } from "node:stream";
import { z } from "zod";
import { readJsonBytes } from "./json-bytes.ts";

/** What the model says instead of an answer, as a machine may hear it and as the operator's log may. */
export interface UpstreamError {
  /** JSON in the API's shape. Words are ours: the model's own name the operator's organisation, or parts of its credential. */
  readonly body: { readonly error: ErrorShape };
  /** The model's own words for the log; null where they may quote the credential, and where there are none. */
  readonly said: string | null;
}

interface ErrorShape {
  readonly message: string;
  readonly type: string | null;
  readonly param: string | null;
  readonly code: string | null;
}

/** An error is a few hundred bytes; what is longer is not looked at. */
const BODY_BYTES_MAX = 64 * 1024;
/** It is two levels deep. */
const BODY_BOUNDS = { charsMax: BODY_BYTES_MAX, depthMax: 16 } as const;
const BODY_MS = 10_000;
const SAID_CHARS_MAX = 500;

const CREDENTIAL_STATUSES: readonly number[] = [401, 403];

/** Names out of the API's own lists. Anything else does not pass. */
const Name = z
  .string()
  .regex(/^[a-z][a-z0-9_.[\]]{0,63}$/)
  .nullable()
  .catch(null);
const Said = z.object({
  error: z.object({ message: z.string().catch(""), type: Name, param: Name, code: Name }),
});

/** Reads the rest of an answer that is an error: bounded in bytes and time. Never throws. */
export async function readUpstreamError(status: number, answer: Readable): Promise<UpstreamError> {
  if (CREDENTIAL_STATUSES.includes(status)) {
    answer.destroy();
    return { body: { error: credentialRefused }, said: null };
  }
  const parsed = Said.safeParse(readJsonBytes(await readBody(answer), BODY_BOUNDS));
  const { message = "", type = null, param = null, code = null } = parsed.data?.error ?? {};
  const name = code ?? type;
  const words = `the model answered with status ${status}${name === null ? "" : ` (${name})`}`;
  return {
    body: { error: { message: words, type, param, code } },
    said: message === "" ? null : message.slice(0, SAID_CHARS_MAX),
  };
}

/** What a machine hears when the operator's credential is no good. */
const credentialRefused = {
  message: "the model refuses the operator's credential",
  type: "invalid_request_error",
  param: null,
  code: "invalid_api_key",
} as const satisfies ErrorShape;

/** Nothing where it is too long or too slow. */
async function readBody(answer: Readable): Promise<Uint8Array> {
  const nothing = Buffer.alloc(0);
  const chunks: Buffer[] = [];
  let size = 0;
  const late = setTimeout(() => answer.destroy(), BODY_MS);
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > BODY_BYTES_MAX) {
        return nothing;
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch {
    return nothing;
  } finally {
    clearTimeout(late);
  }
}
