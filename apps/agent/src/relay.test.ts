import { once } from "node:events";
import { createServer as createHttpServer, request } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, RequestListener } from "node:http";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { limits } from "@mayfly/core/limits";
import { afterEach, describe, expect, it } from "vitest";
import { createRelay } from "./relay.ts";
import type { Relay } from "./relay.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) {
    clean();
  }
});

/** A relay before a broker that does as it is told. */
async function start(broker: RequestListener): Promise<{ relay: Relay; port: number }> {
  const server = createHttpServer(broker).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const upstream = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  const relay = createRelay({ listener, broker: upstream });
  cleanups.push(() => relay.close());
  return { relay, port };
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  isComplete: boolean;
}

async function ask(
  port: number,
  options: { method?: string; path?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Answer> {
  const { method = "POST", path = "/v1/responses", headers = {}, body = "{}" } = options;
  const outgoing = request({ host: "127.0.0.1", port, method, path, headers, agent: false });
  // Refused before all was sent.
  outgoing.on("error", () => {});
  outgoing.end(body);
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  answer.on("data", (chunk: Buffer) => chunks.push(chunk));
  await whenClosed(answer);
  const text = Buffer.concat(chunks).toString("utf8");
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: text, isComplete: answer.complete };
}

async function whenClosed(answer: IncomingMessage): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  answer.on("error", () => {});
  answer.on("close", () => resolve());
  return promise;
}

describe("the relay", () => {
  it("passes a model call on with the key, and with no header of the caller's but two", async () => {
    let seen: { url: string | undefined; headers: IncomingHttpHeaders; body: string } | null = null;
    const { relay, port } = await start((incoming, outgoing) => {
      incoming.setEncoding("utf8");
      let body = "";
      incoming.on("data", (chunk: string) => (body += chunk));
      incoming.on("end", () => {
        seen = { url: incoming.url, headers: incoming.headers, body };
        outgoing.writeHead(200, { "content-type": "text/event-stream", "set-cookie": "a=b", "x-other": "c" });
        outgoing.end("data: {}\n\n");
      });
    });
    relay.setKey("key_one");
    const headers = {
      authorization: "Bearer sk-own",
      "content-type": "application/json",
      accept: "text/event-stream",
      "openai-organization": "org-example",
      cookie: "x=y",
    };
    const answer = await ask(port, { headers, body: '{"model":"m"}' });
    expect(answer).toMatchObject({ status: 200, body: "data: {}\n\n", isComplete: true });
    expect(answer.headers["content-type"]).toBe("text/event-stream");
    expect(answer.headers).not.toHaveProperty("set-cookie");
    expect(answer.headers).not.toHaveProperty("x-other");
    expect(seen).toMatchObject({ url: "/v1/responses", body: '{"model":"m"}' });
    const passed = (seen as { headers: IncomingHttpHeaders } | null)?.headers ?? {};
    expect(passed.authorization).toBe("Bearer key_one");
    expect(Object.keys(passed).toSorted()).toEqual([
      "accept",
      "authorization",
      "connection",
      "content-length",
      "content-type",
      "host",
    ]);
  });

  it.each([
    ["GET", "/v1/responses"],
    ["GET", "/shutdown"],
    ["POST", "/shutdown"],
    ["POST", "/v1/responses?x=1"],
    ["POST", "/v1/responses/"],
    ["POST", "//v1/responses"],
    ["POST", "/v1/%72esponses"],
    ["POST", "http://127.0.0.1/v1/responses"],
    ["POST", "/v1/key"],
    ["POST", "/v1/models"],
    ["DELETE", "/v1/responses"],
  ])("refuses %s %s, and the broker hears nothing of it", async (method, path) => {
    let calls = 0;
    const { relay, port } = await start((_incoming, outgoing) => {
      calls += 1;
      outgoing.end();
    });
    relay.setKey("key_one");
    expect((await ask(port, { method, path })).status).toBe(403);
    expect(calls).toBe(0);
  });

  it("refuses everything until it has a key", async () => {
    const { port } = await start((_incoming, outgoing) => outgoing.end());
    expect((await ask(port)).status).toBe(403);
  });

  it("refuses a request that is too large", async () => {
    let calls = 0;
    const { relay, port } = await start((_incoming, outgoing) => {
      calls += 1;
      outgoing.end();
    });
    relay.setKey("key_one");
    expect((await ask(port, { body: Buffer.alloc(limits.modelRequestBytesMax + 1) })).status).toBe(413);
    expect(calls).toBe(0);
  });

  it("asks again while the broker is away, as long as nothing has been answered", async () => {
    let calls = 0;
    const { relay, port } = await start((incoming, outgoing) => {
      calls += 1;
      if (calls < 3) {
        incoming.socket.destroy();
      } else {
        outgoing.end("answer");
      }
    });
    relay.setKey("key_one");
    expect(await ask(port)).toMatchObject({ status: 200, body: "answer" });
    expect(calls).toBe(3);
  });

  it("hands an answer on as it comes, and shows when it was cut short", async () => {
    let cut = (): void => {};
    const { relay, port } = await start((_incoming, outgoing) => {
      outgoing.write("first");
      cut = () => outgoing.destroy();
    });
    relay.setKey("key_one");
    const outgoing = request({ host: "127.0.0.1", port, method: "POST", path: "/v1/responses", agent: false });
    outgoing.end("{}");
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    const [chunk] = (await once(answer, "data")) as [Buffer];
    expect(chunk.toString()).toBe("first");
    const closed = whenClosed(answer);
    cut();
    await closed;
    expect(answer.complete).toBe(false);
  });

  it("drops what it asked for when the caller leaves", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const { relay, port } = await start((incoming) => {
      incoming.socket.once("close", () => resolve("closed"));
      caller.destroy();
    });
    relay.setKey("key_one");
    const caller = connect(port, "127.0.0.1");
    caller.write("POST /v1/responses HTTP/1.1\r\nhost: relay\r\ncontent-length: 2\r\n\r\n{}");
    expect(await promise).toBe("closed");
  });

  it("passes errors of the model on, and leaves it to Codex to ask again", async () => {
    let calls = 0;
    const { relay, port } = await start((_incoming, outgoing) => {
      calls += 1;
      outgoing.writeHead(429, { "content-type": "application/json", "retry-after": "3" });
      outgoing.end('{"error":{}}');
    });
    relay.setKey("key_one");
    const answer = await ask(port);
    expect(answer).toMatchObject({ status: 429, body: '{"error":{}}' });
    expect(answer.headers["retry-after"]).toBe("3");
    expect(calls).toBe(1);
  });

  it("says when it has ended", async () => {
    const { relay } = await start((_incoming, outgoing) => outgoing.end());
    relay.close();
    expect((await relay.broken).message).toContain("closed");
  });
});
