import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { answerEvents } from "./answer.ts";
import { readConversation } from "./conversation.ts";
import type { Conversation } from "./conversation.ts";
import { isRecord } from "./json.ts";
import type { Refusal } from "./refusal.ts";
import { type Access, BODY_BYTES_MAX, refusalOf } from "./request-check.ts";
import { say, stepOf } from "./script.ts";
import type { Fault, Script, Step } from "./script.ts";
import { sendEvents } from "./stream.ts";
import { createTries } from "./tries.ts";

/** What the server was sent. */
interface RecordedRequest {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The parsed body; null if there was none or it is no JSON object. */
  readonly body: Record<string, unknown> | null;
  /** The status that was answered; null while nothing has been. */
  status: number | null;
  /** Whether the client hung up before all that was meant for it had been sent. */
  isAborted: boolean;
}

export interface FakeModelOptions {
  /** The only key that is accepted, or which ones are. */
  apiKey: string | ((key: string) => boolean);
  /** The header that the key stands in, in lower case: `authorization`, where `Bearer` stands before it, unless said. */
  keyHeader?: string;
  /** For every prompt that none of `scripts` is for. Without it such a request is refused. */
  script?: Script;
  /** The first whose `when` matches the prompt is followed. */
  scripts?: { when: RegExp | ((prompt: string) => boolean); script: Script }[];
  /** Epoch milliseconds, for the record of requests. */
  clock?: () => number;
}

export interface FakeModel {
  /** Base URL for Codex and the broker: ends in `/v1`. */
  readonly url: string;
  /** Oldest first; the latest `REQUESTS_KEPT` of them. */
  readonly requests: readonly RecordedRequest[];
  /** Every request that was refused because the real API would have refused it, in words. */
  readonly violations: readonly string[];
  /** Resolves once that many requests have come in all. */
  whenRequested(count: number): Promise<void>;
  /** Ends every stream, also the stalled ones. Can be repeated. */
  close(): Promise<void>;
}

interface Exchange {
  readonly outgoing: ServerResponse;
  readonly recorded: RecordedRequest;
}

// At some 50 kB each: a load test must not fill the memory with them.
const REQUESTS_KEPT = 2_000;

/**
 * A stand-in for the model: the Responses API over HTTP on a free loopback port, as Codex uses it. It refuses what the
 * API refuses, follows scripts instead of thinking, and keeps nothing between requests but the number of tries.
 */
export async function createFakeModel(options: FakeModelOptions): Promise<FakeModel> {
  const requests: RecordedRequest[] = [];
  const violations: string[] = [];
  const access = accessOf(options);
  const tries = createTries();
  const arrivals = createArrivals();
  const answered = new WeakSet<ServerResponse>();
  const server = createServer((incoming, outgoing) => {
    void handle(incoming, outgoing);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1`, requests, violations, whenRequested: arrivals.when, close };

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const text = await readBody(incoming);
    const recorded = record(incoming, text, (options.clock ?? Date.now)());
    outgoing.on("close", () => {
      recorded.isAborted = server.listening && !answered.has(outgoing);
    });
    requests.push(recorded);
    requests.splice(0, requests.length - REQUESTS_KEPT);
    arrivals.add();
    const refused = refusalOf(recorded, text, access);
    if (refused === null) {
      await follow({ outgoing, recorded }, readConversation(recorded.body ?? {}));
    } else {
      refuse({ outgoing, recorded }, refused);
    }
  }

  async function follow(exchange: Exchange, seen: Conversation): Promise<void> {
    const script = options.scripts?.find(({ when }) => matches(when, seen.prompt))?.script ?? options.script;
    const step = stepOf(script ?? [], seen);
    const fault = tries.dueFault(step, seen);
    if (step.answer === null && fault === null) {
      refuse(exchange, unscripted(`no turn is scripted for step ${seen.step} of this prompt`));
    } else if (step.answer?.kind === "run" && seen.shape === "none") {
      refuse(exchange, unscripted("the script runs a command, and the request offers no tool for it"));
    } else {
      await play(exchange, seen, step, fault);
    }
  }

  async function play(exchange: Exchange, seen: Conversation, step: Step, fault: Fault | null): Promise<void> {
    const { outgoing, recorded } = exchange;
    if (fault?.kind === "stall-before-first-byte") {
      return;
    }
    if (fault?.kind === "fail") {
      sendJson(exchange, fault.status, fault.body, fault.headers);
      return;
    }
    recorded.status = 200;
    outgoing.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
    const events = answerEvents(step.answer ?? say(""), seen, access.sealSecret);
    const shown = fault === null ? events : events.slice(0, fault.afterEvents);
    await sendEvents(outgoing, shown, step.bytesPerSecond);
    if (outgoing.destroyed || fault?.kind === "stall") {
      return;
    }
    answered.add(outgoing);
    if (fault?.kind === "cut") {
      outgoing.destroy();
    } else {
      outgoing.end();
    }
  }

  function refuse(exchange: Exchange, { status, message, param, code }: Refusal): void {
    const { method, path } = exchange.recorded;
    violations.push(`${status} ${method} ${path}: ${message}`);
    sendJson(exchange, status, { error: { message, type: "invalid_request_error", param, code } }, {});
  }

  function sendJson(exchange: Exchange, status: number, body: unknown, headers: Record<string, string>): void {
    exchange.recorded.status = status;
    answered.add(exchange.outgoing);
    exchange.outgoing.writeHead(status, { "content-type": "application/json", ...headers });
    exchange.outgoing.end(JSON.stringify(body));
  }

  async function close(): Promise<void> {
    if (server.listening) {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    }
  }
}

function accessOf({ apiKey, keyHeader = "authorization" }: FakeModelOptions): Access {
  const isGood = typeof apiKey === "string" ? (key: string) => key === apiKey : apiKey;
  const prefix = keyHeader === "authorization" ? "Bearer " : "";
  const sealSecret = typeof apiKey === "string" ? apiKey : randomBytes(16).toString("hex");
  return { isGood, header: keyHeader, prefix, sealSecret };
}

/** Counts requests, for a test that waits for one instead of sleeping. */
function createArrivals(): { add: () => void; when: (count: number) => Promise<void> } {
  const waiting = new Set<{ count: number; resolve: () => void }>();
  let arrived = 0;
  return {
    add(): void {
      arrived += 1;
      for (const waiter of waiting) {
        if (waiter.count <= arrived) {
          waiting.delete(waiter);
          waiter.resolve();
        }
      }
    },
    async when(count: number): Promise<void> {
      if (arrived < count) {
        await new Promise<void>((resolve) => waiting.add({ count, resolve }));
      }
    },
  };
}

/** The text of the body; null if it is longer than the API takes. */
async function readBody(incoming: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size <= BODY_BYTES_MAX) {
        chunks.push(chunk);
      }
    }
  } catch {
    // The client left while sending: what came is recorded, and the answer goes nowhere.
  }
  return size > BODY_BYTES_MAX ? null : Buffer.concat(chunks).toString("utf8");
}

function record({ method, url, headers }: IncomingMessage, text: string | null, at: number): RecordedRequest {
  const body = parseObject(text);
  return { at, method: method ?? "", path: url ?? "", headers, body, status: null, isAborted: false };
}

function parseObject(text: string | null): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/** `search` reads from the start whatever flags the pattern has. */
function matches(when: RegExp | ((prompt: string) => boolean), prompt: string): boolean {
  return when instanceof RegExp ? prompt.search(when) !== -1 : when(prompt);
}

function unscripted(message: string): Refusal {
  return { status: 400, message, param: null, code: null };
}
