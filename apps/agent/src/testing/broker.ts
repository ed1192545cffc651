import { createServer, request } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { once } from "node:events";
import { ClaimRequest, EventBatch, GateReport, ResultFrame } from "@mayfly/core/protocol";
import type { AgentEvent, Assignment } from "@mayfly/core/protocol";

/** What a machine told the broker, in order. */
interface Heard {
  readonly paths: string[];
  readonly events: AgentEvent[];
  hello: ClaimRequest | null;
  gate: GateReport | null;
  frames: ResultFrame[];
  modelHeaders: IncomingMessage["headers"][];
}

/** The smallest broker that an agent can be tested with: one machine, one attempt, a model behind it. */
export interface TestBroker {
  readonly heard: Heard;
  /** From now on heartbeats are answered with this. */
  stopWith(why: "cancelled"): void;
  /** Resolves once that path has been called. */
  whenCalled(path: string): Promise<void>;
  close(): Promise<void>;
}

export const CAPABILITY = `cap_${"c".repeat(43)}`;
export const KEY = `key_${"k".repeat(43)}`;
const BODY_BYTES_MAX = 32 * 1024 * 1024;
const KEY_SECONDS = 600;

export async function startTestBroker(options: {
  socket: string;
  assignment: Assignment;
  pack: Buffer;
  /** Base URL of a Responses API, and its key. */
  model: { url: string; apiKey: string };
}): Promise<TestBroker> {
  const { assignment, pack, model } = options;
  const heard: Heard = { paths: [], events: [], hello: null, gate: null, frames: [], modelHeaders: [] };
  const waiting = new Set<() => void>();
  let stop: string | null = null;
  let frozen = false;
  let polls = 0;

  const server: Server = createServer((incoming, outgoing) => {
    void answer(incoming, outgoing).catch(() => outgoing.destroy());
  });
  server.listen(options.socket);
  await once(server, "listening");

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await readBody(incoming);
    const { url = "", method } = incoming;
    heard.paths.push(url);
    for (const wake of waiting) {
      wake();
    }
    const token = incoming.headers.authorization;
    if (url !== "/v1/claim") {
      const wanted = url === "/v1/responses" ? KEY : CAPABILITY;
      if ((frozen && url !== "/v1/result") || token !== `Bearer ${wanted}`) {
        send(outgoing, 401, { error: { code: "unauthorized", message: "not with this token" } });
        return;
      }
    }
    switch (`${method} ${url}`) {
      case "POST /v1/claim": {
        heard.hello = ClaimRequest.parse(JSON.parse(body.toString("utf8")));
        polls += 1;
        // The first poll finds nothing, as it does on a machine that waits.
        return polls === 1 ? send(outgoing, 204) : send(outgoing, 200, assignment);
      }
      case "GET /v1/source":
        outgoing.writeHead(200, { "content-type": "application/octet-stream", "content-length": pack.length });
        outgoing.end(pack);
        return;
      case "POST /v1/gate":
        heard.gate = GateReport.parse(JSON.parse(body.toString("utf8")));
        return send(outgoing, 204);
      case "POST /v1/key":
        return send(outgoing, 200, { key: KEY, seconds: KEY_SECONDS });
      case "POST /v1/heartbeat":
        return send(outgoing, 200, { stop });
      case "POST /v1/events":
        return takeEvents(EventBatch.parse(JSON.parse(body.toString("utf8"))), outgoing);
      case "POST /v1/responses":
        heard.modelHeaders.push(incoming.headers);
        return forward(body, outgoing);
      case "POST /v1/freeze":
        frozen = true;
        return send(outgoing, 204);
      case "POST /v1/result":
        heard.frames.push(ResultFrame.parse(JSON.parse(body.toString("utf8"))));
        return send(outgoing, 204);
      default:
        return send(outgoing, 404, { error: { code: "not_found", message: url } });
    }
  }

  function takeEvents({ first, events }: EventBatch, outgoing: ServerResponse): void {
    heard.events.push(...events.slice(Math.max(heard.events.length - first, 0)));
    send(outgoing, 200, { next: heard.events.length });
  }

  function forward(body: Buffer, outgoing: ServerResponse): void {
    const headers = {
      authorization: `Bearer ${model.apiKey}`,
      "content-type": "application/json",
      "content-length": body.length,
    };
    const upstream = request(`${model.url}/responses`, { method: "POST", headers }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, { "content-type": reply.headers["content-type"] });
      reply.pipe(outgoing);
    });
    upstream.on("error", () => outgoing.destroy());
    upstream.end(body);
  }

  async function whenCalled(path: string): Promise<void> {
    await new Promise<void>((resolve) => {
      function look(): void {
        if (heard.paths.includes(path)) {
          waiting.delete(look);
          resolve();
        }
      }
      waiting.add(look);
      look();
    });
  }

  async function close(): Promise<void> {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }

  return { heard, stopWith: (why) => void (stop = why), whenCalled, close };
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) {
      throw new Error("too large");
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(outgoing: ServerResponse, status: number, body?: unknown): void {
  outgoing.writeHead(status, body === undefined ? {} : { "content-type": "application/json" });
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
}
