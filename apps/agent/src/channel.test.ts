import { once } from "node:events";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ChannelError } from "./channel-error.ts";
import { createChannel } from "./channel.ts";
import type { Channel } from "./channel.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) {
    clean();
  }
});

async function start(broker: RequestListener): Promise<Channel> {
  const server = createServer(broker).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return createChannel({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
}

const heartbeat = { method: "POST", path: "/v1/heartbeat", token: "cap" } as const;

describe("the channel", () => {
  it("sends the token and JSON, and reads JSON", async () => {
    const channel = await start((incoming, outgoing) => {
      let body = "";
      incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
      incoming.on("end", () => {
        const { method, url, headers } = incoming;
        outgoing.end(JSON.stringify({ method, url, token: headers.authorization, body }));
      });
    });
    const answer = await channel.call({ ...heartbeat, body: { a: 1 } });
    const told = { method: "POST", url: "/v1/heartbeat", token: "Bearer cap", body: '{"a":1}' };
    expect(answer).toEqual({ status: 200, body: told });
  });

  it("repeats a call while the broker is away", async () => {
    let calls = 0;
    const channel = await start((incoming, outgoing) => {
      calls += 1;
      if (calls === 1) {
        incoming.socket.destroy();
      } else {
        outgoing.writeHead(calls === 2 ? 500 : 204);
        outgoing.end();
      }
    });
    expect(await channel.call(heartbeat)).toEqual({ status: 204, body: null });
    expect(calls).toBe(3);
  });

  it("does not repeat what was refused, and says why it was", async () => {
    let calls = 0;
    const channel = await start((_incoming, outgoing) => {
      calls += 1;
      outgoing.writeHead(401);
      outgoing.end(JSON.stringify({ error: { code: "frozen", message: "it is over" } }));
    });
    const call = channel.call(heartbeat);
    await expect(call).rejects.toThrow("/v1/heartbeat answered 401, frozen: it is over");
    await expect(call).rejects.toMatchObject({ kind: "refused", status: 401 });
    expect(calls).toBe(1);
  });

  it("gives up when its patience is over", async () => {
    const channel = await start((incoming) => incoming.socket.destroy());
    await expect(channel.call({ ...heartbeat, patienceMs: 0 })).rejects.toMatchObject({ kind: "unreachable" });
  });

  it("gives a silent try up", async () => {
    const channel = await start(() => {});
    const call = channel.call({ ...heartbeat, timeoutMs: 50, patienceMs: 0 });
    await expect(call).rejects.toThrow("no word from the broker for 50 ms");
  });

  it("ends with the signal's reason", async () => {
    const stop = new AbortController();
    const channel = await start(() => stop.abort(new Error("stopped: cancelled")));
    await expect(channel.call({ ...heartbeat, signal: stop.signal })).rejects.toThrow("stopped: cancelled");
  });

  it("refuses an answer without end", async () => {
    const channel = await start((_incoming, outgoing) => {
      outgoing.on("error", () => {});
      outgoing.end(Buffer.alloc(5 * 1024 * 1024, "1"));
    });
    await expect(channel.call(heartbeat)).rejects.toMatchObject({ kind: "refused" });
  });

  it("hands a download over in pieces, and notices when it was cut short", async () => {
    const channel = await start((incoming, outgoing) => {
      outgoing.writeHead(200, { "content-length": 10 });
      outgoing.write("12345");
      if (incoming.url === "/whole") {
        outgoing.end("67890");
      } else {
        outgoing.write("6", () => outgoing.destroy());
      }
    });
    let text = "";
    await channel.download({ method: "GET", path: "/whole" }, (chunk) => (text += chunk.toString()));
    expect(text).toBe("1234567890");
    const cut = channel.download({ method: "GET", path: "/cut" }, () => {});
    await expect(cut).rejects.toBeInstanceOf(ChannelError);
    await expect(cut).rejects.toMatchObject({ kind: "unreachable" });
  });
});
