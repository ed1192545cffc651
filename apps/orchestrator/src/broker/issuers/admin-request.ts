import { setTimeout as delay } from "node:timers/promises";
import { AppError, type Clock, type Secret } from "@mayfly/core";
import { z } from "zod";
import { readJsonBytes } from "../json-bytes.ts";
import { retryAfterMs } from "../retry-after.ts";

/** Resolves after that many milliseconds. */
export type Wait = (ms: number) => Promise<void>;

interface AdminRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below the Admin API's address, with its query; every part already encoded. */
  readonly path: string;
  readonly body?: unknown;
  /** How often it is sent at most. */
  readonly tries: number;
}

/** What the API answered, as far as the caller's schema knows it; null for 404. */
export type AskAdmin = <T>(request: AdminRequest, schema: z.ZodType<T>) => Promise<T | null>;

/** One request, its answer read to the end. The API answers within a second. */
const REQUEST_MS = 10_000;
/** A page of a hundred keys is a tenth of it. */
const ANSWER_BYTES_MAX = 1024 * 1024;
/** A page of keys has some two thousand names and values, four levels deep. */
const ANSWER_BOUNDS = { charsMax: ANSWER_BYTES_MAX, depthMax: 16, valuesMax: 50_000 } as const;
/** Before a second try; twice as long before each further one. */
const PAUSE_MS = 500;
/** A machine waits for its model call meanwhile: whoever asks for a longer pause gets another call instead. */
const RETRY_AFTER_MS_MAX = 20_000;

/** What one try came to. */
type Answer<T> =
  | { readonly kind: "read"; readonly value: T | null }
  | { readonly kind: "passing"; readonly what: string; readonly pauseMs: number | null; readonly cause?: unknown }
  | { readonly kind: "refused"; readonly what: string };

/**
 * Requests to OpenAI's Admin API. Limits, faults of the server and answers that were lost are tried again, with pauses
 * that obey Retry-After, then thrown as CREDENTIAL_UNAVAILABLE; refusals are thrown as CREDENTIAL_REFUSED. No message
 * quotes what the API said but its code: the words quote keys.
 */
export function createAdminRequests(deps: { url: string; adminKey: Secret; clock: Clock; wait?: Wait }): AskAdmin {
  const { url, adminKey, clock, wait = (ms) => delay(ms) } = deps;

  async function tryOnce<T>({ method, path, body }: AdminRequest, schema: z.ZodType<T>): Promise<Answer<T>> {
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        redirect: "error",
        signal: AbortSignal.timeout(REQUEST_MS),
        headers: {
          accept: "application/json",
          authorization: `Bearer ${adminKey.reveal()}`,
          "user-agent": "mayfly",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return judge(response, await readBytes(response), schema);
    } catch (cause) {
      return { kind: "passing", what: "no whole answer", pauseMs: null, cause };
    }
  }

  function judge<T>(response: Response, bytes: Uint8Array, schema: z.ZodType<T>): Answer<T> {
    const { status } = response;
    if (status === 404) {
      return { kind: "read", value: null };
    }
    if (status === 408 || status === 429 || status >= 500) {
      return {
        kind: "passing",
        what: `status ${status}`,
        pauseMs: retryAfterMs(response.headers.get("retry-after"), clock.now()),
      };
    }
    if (!response.ok) {
      return { kind: "refused", what: `status ${status}${codeIn(bytes)}` };
    }
    const read = schema.safeParse(readJsonBytes(bytes, ANSWER_BOUNDS));
    return read.success
      ? { kind: "read", value: read.data }
      : { kind: "passing", what: "an answer of another form", pauseMs: null };
  }

  return async (request, schema) => {
    for (let left = request.tries - 1, pause = PAUSE_MS; ; left--, pause *= 2) {
      const answer = await tryOnce(request, schema);
      if (answer.kind === "read") {
        return answer.value;
      }
      const message = `OpenAI's Admin API gave ${answer.what} to ${request.method} of a key`;
      if (answer.kind === "refused") {
        throw new AppError("CREDENTIAL_REFUSED", message);
      }
      const pauseMs = Math.max(pause, answer.pauseMs ?? 0);
      if (left <= 0 || pauseMs > RETRY_AFTER_MS_MAX) {
        throw new AppError("CREDENTIAL_UNAVAILABLE", message, { cause: answer.cause });
      }
      await wait(pauseMs);
    }
  };
}

async function readBytes(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > ANSWER_BYTES_MAX) {
      throw new Error("the answer is too long");
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const Refused = z.object({ error: z.object({ code: z.string().regex(/^[a-z_]{1,64}$/) }) });

function codeIn(bytes: Uint8Array): string {
  const read = Refused.safeParse(readJsonBytes(bytes, ANSWER_BOUNDS));
  return read.success ? ` (${read.data.error.code})` : "";
}
