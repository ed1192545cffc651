import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { createUpstream, type Upstream, UpstreamFault } from "./upstream-request.ts";

const open: (Server | Upstream)[] = [];

afterEach(() => {
  for (const one of open.splice(0)) {
    one.close();
    if ("closeAllConnections" in one) {
      one.closeAllConnections();
    }
  }
});

async function start(model: RequestListener, options: { headMs?: number; staleMs?: number } = {}): Promise<Upstream> {
  const server = createServer(model).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const upstream = createUpstream({ url: `http://127.0.0.1:${port}/v1`, ...options });
  open.push(server, upstream);
  return upstream;
}

function call(signal = new AbortController().signal) {
  return { body: '{"a":"é"}', isLite: false, credential: { "x-key": "sk-1" }, signal };
}

/** What went wrong; fails if nothing did. */
async function faultOf(sent: Promise<unknown>): Promise<UpstreamFault> {
  const fault = await sent.then(
    () => null,
    (error: unknown) => error,
  );
  expect(fault).toBeInstanceOf(UpstreamFault);
  return fault as UpstreamFault;
}

describe("a call to the model", () => {
  it("is one POST to one path with the body as it is, and uses a connection again", async () => {
    const seen: unknown[] = [];
    const sockets = new Set<unknown>();
    const upstream = await start((incoming, outgoing) => {
      sockets.add(incoming.socket);
      void text(incoming).then((body) => {
        seen.push([incoming.method, incoming.url, incoming.headers["x-key"], body]);
        outgoing.end("answer");
        return null;
      });
    });
    for (let times = 0; times < 2; times++) {
      expect(await text(await upstream.send(call()))).toBe("answer");
    }
    const wanted = ["POST", "/v1/responses", "sk-1", '{"a":"é"}'];
    expect(seen).toEqual([wanted, wanted]);
    expect(sockets.size).toBe(1);
  });

  it("leaves nothing behind on a connection that is used many times", async () => {
    const sockets = new Set<unknown>();
    const upstream = await start((incoming, outgoing) => {
      sockets.add(incoming.socket);
      incoming.resume();
      outgoing.end("ok");
    });
    const warnings: Error[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on("warning", note);
    try {
      for (let calls = 0; calls < 20; calls++) {
        await text(await upstream.send(call()));
      }
    } finally {
      process.off("warning", note);
    }
    expect(sockets.size).toBe(1);
    expect(warnings).toEqual([]);
  });

  it("says whether the model can have heard it when no answer comes", async () => {
    const upstream = await start((incoming) => incoming.socket.destroy());
    expect((await faultOf(upstream.send(call()))).wasAsked).toBe(true);
    // Port 9 is discard's: nothing of ours or anybody's listens there.
    const nowhere = createUpstream({ url: "http://127.0.0.1:9/v1" });
    expect((await faultOf(nowhere.send(call()))).wasAsked).toBe(false);
  });

  /** Answers the first call of a connection; ends it in the middle of the next, so many milliseconds later. */
  function breaksAfter(ms: number): { model: RequestListener; calls: () => number } {
    const used = new WeakSet<object>();
    let calls = 0;
    return {
      calls: () => calls,
      model(incoming, outgoing) {
        calls += 1;
        incoming.resume();
        if (used.has(incoming.socket)) {
          setTimeout(() => incoming.socket.destroy(), ms);
        } else {
          used.add(incoming.socket);
          outgoing.end("answer");
        }
      },
    };
  }

  it("is asked again where a connection that was used before breaks at once", async () => {
    const { model, calls } = breaksAfter(0);
    const upstream = await start(model, { staleMs: 20_000 });
    for (let times = 0; times < 2; times++) {
      expect(await text(await upstream.send(call()))).toBe("answer");
    }
    expect(calls()).toBe(3);
  });

  it("is not asked again where such a connection breaks later, for the model was at work by then", async () => {
    const { model, calls } = breaksAfter(60);
    const upstream = await start(model, { staleMs: 50 });
    expect(await text(await upstream.send(call()))).toBe("answer");
    expect((await faultOf(upstream.send(call()))).wasAsked).toBe(true);
    expect(calls()).toBe(2);
  });

  it("is given up when the head of the answer does not come in time", async () => {
    const upstream = await start(() => undefined, { headMs: 200 });
    expect((await faultOf(upstream.send(call()))).message).toContain("silent");
  });

  it("is given up when the head of the answer is too large", async () => {
    const upstream = await start((_incoming, outgoing) => {
      outgoing.writeHead(200, { "x-long": "x".repeat(20_000) });
      outgoing.end();
    });
    await faultOf(upstream.send(call()));
  });

  it("ends with its signal, before and after the head of the answer", async () => {
    const upstream = await start((incoming, outgoing) => {
      if (incoming.headers["x-openai-internal-codex-responses-lite"] !== undefined) {
        outgoing.flushHeaders();
      }
    });
    const before = new AbortController();
    const sent = upstream.send(call(before.signal));
    setImmediate(() => before.abort());
    await faultOf(sent);
    const after = new AbortController();
    const answer = await upstream.send({ ...call(after.signal), isLite: true });
    after.abort();
    await expect(text(answer)).rejects.toThrow();
  });
});
