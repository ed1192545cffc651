import { request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { BrokerAddress } from "@mayfly/core/enrolment";
import { BrokerRefusal } from "@mayfly/core/protocol";
import { ChannelError, isUnreachable } from "./channel-error.ts";
import { plainTransport } from "./transport.ts";
import type { Transport } from "./transport.ts";

/** One call to the broker. */
export interface Call {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Capability or key; none for the claim and the result. */
  readonly token?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Silence after which one try is given up, ms. */
  readonly timeoutMs?: number;
  /** How long tries go on while the broker cannot be reached, ms. */
  readonly patienceMs?: number;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  /** Parsed JSON; null when there was no body. */
  readonly body: unknown;
}

/** The way to the broker. Both methods throw ChannelError, and the signal's reason when aborted. */
export interface Channel {
  /** Repeats the same call while the broker is away; the endpoints are made for that. */
  call(call: Call): Promise<Answer>;
  /** Hands the body over in pieces. Tries once: the caller starts again from nothing. */
  download(call: Call, take: (chunk: Buffer) => void): Promise<void>;
}

// A restart of the service takes seconds, a bad upgrade minutes; after that the run is lost anyway.
const PATIENCE_MS = 10 * 60_000;
// No endpoint but the claim makes the agent wait.
const TIMEOUT_MS = 30_000;
const BACK_OFF_MS_MIN = 200;
const BACK_OFF_MS_MAX = 5_000;
// The largest answer is the assignment: prompt, schema, arguments, and JSON's escaping of them.
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
// From here on it is the service that has a problem, which a restart may cure, and not the call.
const SERVER_ERROR = 500;

export function createChannel(broker: BrokerAddress, transport: Transport = plainTransport): Channel {
  // One connection for the short calls: opening one costs more than a call.
  const agent = transport({ keepAlive: true, maxSockets: 8 });

  async function call(wanted: Call): Promise<Answer> {
    const end = performance.now() + (wanted.patienceMs ?? PATIENCE_MS);
    for (let pause = BACK_OFF_MS_MIN; ; pause = Math.min(pause * 2, BACK_OFF_MS_MAX)) {
      wanted.signal?.throwIfAborted();
      try {
        return await callOnce(wanted);
      } catch (error) {
        if (!isUnreachable(error) || performance.now() + pause > end) {
          throw error;
        }
      }
      await sleep(pause, undefined, wanted.signal === undefined ? {} : { signal: wanted.signal });
    }
  }

  async function callOnce(wanted: Call): Promise<Answer> {
    const answer = await open(wanted);
    const chunks: Buffer[] = [];
    let size = 0;
    await readAll(answer, (chunk) => {
      size += chunk.length;
      if (size > ANSWER_BYTES_MAX) {
        throw new ChannelError("refused", `the answer to ${wanted.path} is larger than ${ANSWER_BYTES_MAX} bytes`);
      }
      chunks.push(chunk);
    });
    const body = parse(Buffer.concat(chunks).toString("utf8"), wanted.path);
    const status = answer.statusCode ?? 0;
    if (status >= 400) {
      throw refusal(wanted, status, body);
    }
    return { status, body };
  }

  async function download(wanted: Call, take: (chunk: Buffer) => void): Promise<void> {
    const answer = await open(wanted);
    if (answer.statusCode !== 200) {
      answer.destroy();
      throw refusal(wanted, answer.statusCode ?? 0, null);
    }
    await readAll(answer, take);
    if (!answer.complete) {
      throw new ChannelError("unreachable", `${wanted.path} was cut short`);
    }
  }

  /** Sends the call; resolves with the head of the answer. */
  async function open(wanted: Call): Promise<IncomingMessage> {
    const { method, path, token, signal, timeoutMs = TIMEOUT_MS } = wanted;
    const body = wanted.body === undefined ? null : Buffer.from(JSON.stringify(wanted.body, wellFormed));
    const headers: Record<string, string | number> = { accept: "application/json" };
    if (token !== undefined) {
      headers["authorization"] = `Bearer ${token}`;
    }
    if (body !== null) {
      headers["content-type"] = "application/json";
    }
    if (method === "POST") {
      headers["content-length"] = body?.length ?? 0;
    }
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const options = { host: broker.host, port: broker.port, method, path, headers, agent, timeout: timeoutMs };
    const outgoing = httpRequest(signal === undefined ? options : { ...options, signal });
    outgoing.once("response", resolve);
    outgoing.once("timeout", () => outgoing.destroy(new Error(`no word from the broker for ${timeoutMs} ms`)));
    // Stays for the whole exchange: a late error of the socket is met by whoever reads the answer.
    outgoing.on("error", (cause) => {
      reject(signal?.aborted === true ? signal.reason : unreachable(path, cause));
    });
    outgoing.end(body);
    return promise;
  }

  return { call, download };
}

async function readAll(answer: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      take(chunk);
    }
  } catch (error) {
    throw unreachable("the answer", error);
  }
}

/** The broker takes no half of a surrogate pair, and a repository's file may well have one. */
function wellFormed(_name: string, value: unknown): unknown {
  return typeof value === "string" ? value.toWellFormed() : value;
}

function unreachable(what: string, cause: unknown): ChannelError {
  // A connection that was refused says so itself.
  if (cause instanceof ChannelError) {
    return cause;
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ChannelError("unreachable", `${what}: ${why}`, { cause });
}

function refusal({ path }: Call, status: number, body: unknown): ChannelError {
  const told = BrokerRefusal.safeParse(body);
  const why = told.success ? `${told.data.error.code}: ${told.data.error.message}` : "no reason given";
  const kind = status >= SERVER_ERROR ? "unreachable" : "refused";
  return new ChannelError(kind, `${path} answered ${status}, ${why}`, { status });
}

function parse(text: string, path: string): unknown {
  if (text === "") {
    return null;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw unreachable(path, cause);
  }
}
