import { createServer, request as httpRequest } from "node:http";
import type { IncomingMessage, RequestOptions, ServerResponse } from "node:http";
import type { Server as NetServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { BrokerAddress } from "@mayfly/core/enrolment";
import { limits } from "@mayfly/core/limits";
import { MODEL_SHAPE_HEADER } from "@mayfly/core/protocol";
import { plainTransport } from "./transport.ts";
import type { Transport } from "./transport.ts";

/** Codex's only way out: model calls, and nothing else. */
export interface Relay {
  /** From now on calls carry this key. Before the first one they are refused. */
  readonly setKey: (key: string) => void;
  /** Settles when the relay has ended by itself, which ends the run: without it nothing is under control. */
  readonly broken: Promise<Error>;
  close(): void;
}

const PATH = "/v1/responses";
// A restart of the service must not end a run; Codex waits for the first byte of an answer without limit.
const PATIENCE_MS = 60_000;
const BACK_OFF_MS_MIN = 250;
const BACK_OFF_MS_MAX = 4_000;
// Codex sends its request at once.
const REQUEST_MS = 60_000;
const HEADERS_MS = 10_000;
// Codex opens one; commands in its sandbox cannot reach us at all.
const CONNECTIONS_MAX = 32;
// All that a model's answer needs to be understood.
const ANSWER_HEADERS = ["content-type", "retry-after"] as const;

/** Serves on `listener`, which lies in Codex's network; calls go to the broker from ours. */
export function createRelay(options: { listener: NetServer; broker: BrokerAddress; transport?: Transport }): Relay {
  const { listener, broker, transport = plainTransport } = options;
  // A connection for each call: an answer takes long enough for opening one not to matter.
  const agent = transport({});
  const { promise: broken, resolve: breakDown } = Promise.withResolvers<Error>();
  let key: string | null = null;
  let running = 0;

  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: HEADERS_MS }, (incoming, outgoing) => {
    // A caller that leaves is no fault; what it asked for is dropped.
    outgoing.on("error", () => {});
    void handle(incoming, outgoing).catch(() => outgoing.destroy());
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on("error", breakDown);
  server.on("close", () => breakDown(new Error("the relay has closed")));
  server.listen(listener);

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    if (incoming.method !== "POST" || incoming.url !== PATH || key === null) {
      refuse(outgoing, 403, "only model calls pass here");
    } else if (incoming.headers["content-encoding"] !== undefined) {
      refuse(outgoing, 415, "encoded requests do not pass here");
    } else if (running >= limits.modelConcurrencyMax) {
      refuse(outgoing, 429, "too many model calls at once");
    } else {
      running += 1;
      try {
        await pass(incoming, outgoing, key);
      } finally {
        running -= 1;
      }
    }
  }

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse, token: string): Promise<void> {
    // Kept whole, so that it can be sent again while the broker is away.
    const body = await readBody(incoming);
    if (body === null) {
      refuse(outgoing, 413, `a model call has at most ${limits.modelRequestBytesMax} bytes`);
      return;
    }
    const left = new AbortController();
    outgoing.on("close", () => left.abort());
    const answer = await ask(incoming, body, token, left.signal);
    if (answer === null) {
      refuse(outgoing, 503, "the broker cannot be reached");
      return;
    }
    outgoing.writeHead(answer.statusCode ?? 502, pick(answer.headers, ANSWER_HEADERS));
    await stream(answer, outgoing);
  }

  /** The head of the broker's answer; null when there was none for as long as we wait. */
  async function ask(
    incoming: IncomingMessage,
    body: Buffer,
    token: string,
    signal: AbortSignal,
  ): Promise<IncomingMessage | null> {
    const headers = {
      ...pick(incoming.headers, ["content-type", "accept", MODEL_SHAPE_HEADER]),
      authorization: `Bearer ${token}`,
      "content-length": body.length,
    };
    const options = { host: broker.host, port: broker.port, method: "POST", path: PATH, headers, agent, signal };
    const end = performance.now() + PATIENCE_MS;
    for (let pause = BACK_OFF_MS_MIN; ; pause = Math.min(pause * 2, BACK_OFF_MS_MAX)) {
      const answer = await send(options, body).catch(() => null);
      // What the broker answers, Codex is told: it knows which errors are worth another try.
      if (answer !== null || performance.now() + pause > end) {
        return answer;
      }
      await sleep(pause, undefined, { signal });
    }
  }

  function close(): void {
    server.close();
    server.closeAllConnections();
  }

  return { setKey: (fresh) => void (key = fresh), broken, close };
}

async function send(options: RequestOptions, body: Buffer): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = httpRequest(options);
  outgoing.setTimeout(limits.modelIdleMs, () => outgoing.destroy(new Error("silence")));
  outgoing.once("response", resolve);
  // Stays for the whole exchange; once the answer has begun, its reader meets the error.
  outgoing.on("error", reject);
  outgoing.end(body);
  return promise;
}

/** Hands the answer on as it comes, no faster than it is taken. An answer cut short is seen to be cut short. */
async function stream(answer: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limits.modelResponseBytesMax) {
      throw new Error("the answer is too large");
    }
    if (!outgoing.write(chunk)) {
      await drained(outgoing);
    }
  }
  if (!answer.complete) {
    throw new Error("the answer was cut short");
  }
  outgoing.end();
}

async function drained(outgoing: ServerResponse): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  outgoing.once("drain", resolve);
  outgoing.once("close", () => reject(new Error("the caller left")));
  return promise;
}

async function readBody(incoming: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limits.modelRequestBytesMax) {
      return null;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function pick(headers: IncomingMessage["headers"], names: readonly string[]): Record<string, string> {
  const entries = names.map((name) => [name, headers[name]] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

function refuse(outgoing: ServerResponse, status: number, message: string): void {
  // The rest of the request, if there is any, is not waited for.
  outgoing.writeHead(status, { "content-type": "application/json", connection: "close" });
  outgoing.end(JSON.stringify({ error: { message, type: "relay_refused" } }));
}
