import { strict as assert } from "node:assert";
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { limits, MODEL_SHAPE_HEADER } from "@mayfly/core";

/** One call to the model: one method, one path, headers of our own. */
interface UpstreamCall {
  /** JSON. */
  readonly body: string;
  /** Asked in the shorter shape of newer models (MODEL_SHAPE_HEADER). */
  readonly isLite: boolean;
  /** What the credential is shown in. */
  readonly credential: Readonly<Record<string, string>>;
  /** Ends the call and its answer at once. */
  readonly signal: AbortSignal;
}

/** The way to the model. */
export interface Upstream {
  /** Resolves with the head of the answer, whatever it is. Throws UpstreamFault when there is none. Follows no redirect. */
  send(call: UpstreamCall): Promise<IncomingMessage>;
  /** Lets go of the idle connections. */
  close(): void;
}

/** No answer came. */
export class UpstreamFault extends Error {
  /** Whether the model may have heard the question, and answers it to nobody. */
  readonly wasAsked: boolean;

  constructor(wasAsked: boolean, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "UpstreamFault";
    this.wasAsked = wasAsked;
  }
}

/** A model's answer has some ten headers; Node's own bound, named so that it stays. */
const HEADER_BYTES_MAX = 16 * 1024;
/** A connection that waits for the next turn: opening one costs round trips, and keeping it costs a descriptor. */
const IDLE_MS = 30_000;
/** As many as a busy fleet has calls under way: between two turns of an attempt its connection is not given up. */
const IDLE_CONNECTIONS_MAX = 256;
/** The model may close an idle connection just as it is taken up again, which says nothing about the call. */
const STALE_CODES: ReadonlySet<string | undefined> = new Set(["ECONNRESET", "EPIPE"]);
/** It says so at once. A connection that breaks later was at work, and the model may have computed an answer. */
const STALE_MS = 1_000;

/**
 * @param options.url Base URL that ends before `/responses`.
 * @param options.headMs How long the head of an answer may take.
 * @param options.staleMs How soon a connection must break to count as one that the model had closed while it was idle.
 */
export function createUpstream(options: { url: string; headMs?: number; staleMs?: number }): Upstream {
  const { headMs = limits.modelIdleMs, staleMs = STALE_MS } = options;
  const url = new URL(`${options.url}/responses`);
  const isTls = url.protocol === "https:";
  const pool = { keepAlive: true, timeout: IDLE_MS, maxFreeSockets: IDLE_CONNECTIONS_MAX };
  const agent = isTls ? new HttpsAgent(pool) : new HttpAgent(pool);
  const request = isTls ? httpsRequest : httpRequest;

  async function sendOnce(call: UpstreamCall, way: HttpAgent | false): Promise<IncomingMessage | "stale"> {
    const { body, isLite, credential, signal } = call;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage | "stale">();
    const outgoing = request(url, {
      method: "POST",
      agent: way,
      signal,
      maxHeaderSize: HEADER_BYTES_MAX,
      headers: {
        accept: "text/event-stream",
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        "user-agent": "mayfly",
        ...(isLite ? { [MODEL_SHAPE_HEADER]: "true" } : {}),
        ...credential,
      },
    });
    const late = setTimeout(() => outgoing.destroy(new Error("the model fell silent")), headMs);
    let wasAsked = false;
    const sentAt = performance.now();
    outgoing.once("socket", (socket) => {
      wasAsked = !socket.connecting;
      // One that is used again is connected already: a listener for each call of it would never be taken off.
      if (socket.connecting) {
        socket.once(isTls ? "secureConnect" : "connect", () => (wasAsked = true));
      }
    });
    outgoing.once("response", resolve);
    // Stays for the whole exchange; once the answer has begun, its reader meets the error.
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      if (outgoing.reusedSocket && STALE_CODES.has(error.code) && performance.now() - sentAt < staleMs) {
        resolve("stale");
      } else {
        reject(new UpstreamFault(wasAsked, error));
      }
    });
    outgoing.end(body);
    return promise.finally(() => clearTimeout(late));
  }

  return {
    async send(call) {
      const first = await sendOnce(call, agent);
      if (first !== "stale") {
        return first;
      }
      const second = await sendOnce(call, false);
      assert(second !== "stale", "a connection of its own is not stale");
      return second;
    },
    close: () => agent.destroy(),
  };
}
