import { createServer, request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import type { Server as NetServer, Socket } from "node:net";
import { pipeline } from "node:stream";
import type { Duplex } from "node:stream";
import type { BrokerAddress } from "@mayfly/core/enrolment";
import { limits } from "@mayfly/core/limits";
import { SETUP_PROXY_PORT } from "./places.ts";
import { plainTransport } from "./transport.ts";
import type { Transport } from "./transport.ts";

/** The way out of set-up commands, for as long as they run. Which hosts it leads to, the broker says. */
export interface SetupProxy {
  /** Ends every connection and listens no more; nothing of it is open when this resolves. Idempotent. */
  close(): Promise<void>;
}

// A tool sends its CONNECT at once.
const HEADERS_MS = 10_000;
// The broker answers once it has written the connection down.
const ANSWER_MS = 30_000;
// The broker's reason for a refusal, in one line of a tool's output.
const REASON_BYTES_MAX = 4_096;

/** What tools that go by these variables need to find it; Node's own client goes by them when told to. */
export const setupProxyEnvironment: Readonly<Record<string, string>> = {
  HTTPS_PROXY: `http://127.0.0.1:${SETUP_PROXY_PORT}`,
  https_proxy: `http://127.0.0.1:${SETUP_PROXY_PORT}`,
  NO_PROXY: "127.0.0.1,localhost",
  no_proxy: "127.0.0.1,localhost",
  NODE_USE_ENV_PROXY: "1",
};

/** Serves CONNECT on `listener`, which lies in Codex's network, and nothing else. Each goes to the broker as it is. */
export function createSetupProxy(options: {
  listener: NetServer;
  broker: BrokerAddress;
  capability: string;
  transport?: Transport;
}): SetupProxy {
  const { listener, broker, capability, transport = plainTransport } = options;
  const agent = transport({});
  const open = new Map<Duplex, Promise<void>>();
  const server = createServer({ requestTimeout: HEADERS_MS, headersTimeout: HEADERS_MS }, (_incoming, outgoing) => {
    outgoing.writeHead(405, { "content-type": "text/plain", connection: "close" });
    outgoing.end("mayfly: only connections with TLS pass here: ask for https addresses\n");
  });
  server.maxConnections = limits.setupConnectionsOpenMax * 2;
  server.on("connect", (incoming: IncomingMessage, client: Socket, head: Buffer) => {
    keep(client);
    lead(incoming.url ?? "", client, head);
  });
  server.listen(listener);

  /** Remembers it until it is closed; that it breaks off is no fault of anybody's. */
  function keep(stream: Duplex): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    open.set(stream, promise);
    stream.on("error", () => {});
    stream.once("close", () => {
      open.delete(stream);
      resolve();
    });
  }

  function lead(target: string, client: Socket, head: Buffer): void {
    const headers = { host: target, authorization: `Bearer ${capability}` };
    const { host, port } = broker;
    const outgoing = httpRequest({ host, port, method: "CONNECT", path: target, headers, agent, timeout: ANSWER_MS });
    client.once("close", () => outgoing.destroy());
    outgoing.on("timeout", () => outgoing.destroy(new Error("no word from the broker")));
    outgoing.on("error", () => refuse(client, 502, "the broker cannot be reached"));
    // An answer to CONNECT is none of the other kind, whatever its status.
    outgoing.on("connect", (answer, upstream, rest) => {
      keep(upstream);
      if (answer.statusCode !== 200) {
        void reasonOf(upstream, rest).then((reason) => refuse(client, answer.statusCode ?? 502, reason));
        return;
      }
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      client.write(rest);
      upstream.write(head);
      pipeline(client, upstream, () => {});
      pipeline(upstream, client, () => {});
    });
    outgoing.end();
  }

  return {
    async close() {
      server.close();
      server.closeAllConnections();
      const ends = [...open.values()];
      for (const stream of open.keys()) {
        stream.destroy();
      }
      await Promise.all(ends);
    },
  };
}

/** Why the broker refused, in its own words, which name nothing but what the task's author wrote. */
async function reasonOf(upstream: Duplex, rest: Buffer): Promise<string> {
  let text = rest.toString("utf8");
  try {
    for await (const chunk of upstream as AsyncIterable<Buffer>) {
      text += chunk.toString("utf8");
      if (text.length > REASON_BYTES_MAX) {
        break;
      }
    }
    return (JSON.parse(text) as { error?: { message?: string } }).error?.message ?? "refused";
  } catch {
    return "refused";
  }
}

/** The reason stands in the status line as well: most tools show that and nothing more. */
function refuse(client: Socket, status: number, reason: string): void {
  const line = reason.replace(/[^\x20-\x7e]/g, "?").slice(0, 300);
  client.end(`HTTP/1.1 ${status} ${line}\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nmayfly: ${line}\n`);
}
