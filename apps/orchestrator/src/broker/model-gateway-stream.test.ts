import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { aliveUntil, type Attempt, limits } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { until } from "../store/test-redis.fixture.ts";
import { readText } from "./model-gateway.fixture.ts";
import { answers, codeIn, fails, opening, opens, spent, useGateway } from "./model-gateway-suite.fixture.ts";

const { start, world } = useGateway();

describe("the stream of a model call", () => {
  it("holds the model back when the caller does not read", async () => {
    const piece = Buffer.alloc(64 * 1024, "x");
    let written = 0;
    let isHeld = false;
    const { send } = await start((_incoming, outgoing) => {
      outgoing.on("error", () => undefined);
      outgoing.writeHead(200, { "content-type": "text/event-stream" });
      const write = (): void => {
        while (!outgoing.destroyed && written < limits.modelResponseBytesMax) {
          written += piece.length;
          if (!outgoing.write(piece)) {
            isHeld = true;
            outgoing.once("drain", () => {
              isHeld = false;
              write();
            });
            return;
          }
        }
      };
      write();
    });
    const outgoing = send();
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    answer.on("error", () => undefined);
    // What the kernel's buffers and ours take comes at once; then nothing moves while nobody reads.
    let before = -1;
    await until(async () => {
      const isStill = isHeld && before === written;
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return isStill;
    });
    expect(written).toBeLessThan(limits.modelResponseBytesMax / 2);
    answer.resume();
    await until(() => written > before + 4 * 1024 * 1024);
    outgoing.destroy();
  });

  it.each(["before the first byte", "while the answer flows", "while the caller reads nothing"])(
    "is dropped towards the model within a second when the caller leaves %s",
    async (when) => {
      const gone = Promise.withResolvers<number>();
      const begun = Promise.withResolvers<void>();
      const { send } = await start((incoming, outgoing) => {
        incoming.socket.once("close", () => gone.resolve(performance.now()));
        outgoing.on("error", () => undefined);
        if (when !== "before the first byte") {
          outgoing.writeHead(200, { "content-type": "text/event-stream" });
          outgoing.write(when === "while the answer flows" ? opening : Buffer.alloc(8 * 1024 * 1024, "x"));
        }
        begun.resolve();
      });
      const outgoing = send();
      outgoing.on("error", () => undefined);
      await begun.promise;
      if (when !== "before the first byte") {
        const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
        answer.on("error", () => undefined);
        if (when === "while the answer flows") {
          await once(answer, "data");
        }
      }
      const left = performance.now();
      outgoing.destroy();
      expect((await gone.promise) - left).toBeLessThan(1_000);
    },
  );

  it("is cut on both sides within a second when the machine is cut off", async () => {
    const { model, opened } = opens();
    const { send, gateway, machine } = await start(model);
    const outgoing = send();
    outgoing.on("error", () => undefined);
    const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
    const read = readText(answer);
    const gone = once(await opened, "close");
    const cutAt = performance.now();
    gateway.cut(machine);
    await gone;
    expect(await read).toMatchObject({ isWhole: false });
    expect(performance.now() - cutAt).toBeLessThan(1_000);
  });

  it("is refused as ended when the machine is cut off before the model has answered", async () => {
    const heard = Promise.withResolvers<void>();
    const { ask, gateway, machine } = await start(() => heard.resolve());
    const answer = ask();
    await heard.promise;
    gateway.cut(machine);
    expect(codeIn(await answer)).toBe("ENDED");
    // The model may have computed an answer that nobody hears.
    expect((await spent(world())).outputTokens).toBe(limits.modelOutputTokensMax);
  });

  it("is over when the attempt's rights are, however much is still to come", async () => {
    const { model } = opens();
    const afterDeadline = aliveUntil({ deadline: 0 } as Attempt);
    // Long enough for the answer to begin on a busy host.
    const { ask } = await start(model, { timeoutMs: 3_000 - afterDeadline });
    expect(await ask()).toMatchObject({ status: 200, text: opening, isWhole: false });
  });

  it("is asked again where an idle connection had been closed, and is charged once", async () => {
    const used = new WeakSet<object>();
    const { ask, asked } = await start((incoming, outgoing) => {
      if (used.has(incoming.socket)) {
        incoming.socket.destroy();
      } else {
        used.add(incoming.socket);
        answers()(incoming, outgoing);
      }
    });
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(200);
    expect(asked).toHaveLength(3);
    expect((await spent(world())).requests).toBe(2);
  });

  it("is refused to a key whose attempt was frozen, and ends nothing else", async () => {
    const { ask, apply, machine, asked } = await start();
    await apply({ type: "frozen", machine });
    expect(codeIn(await ask())).toBe("ENDED");
    expect(asked).toHaveLength(0);
  });

  it.each([
    ["a page", 200, { "content-type": "text/html" }],
    ["JSON", 200, { "content-type": "application/json" }],
    ["an encoded stream", 200, { "content-type": "text/event-stream", "content-encoding": "gzip" }],
    ["a stream with another status", 201, { "content-type": "text/event-stream" }],
    ["a redirect", 302, { location: "http://127.0.0.1:9/" }],
  ])("does not pass %s", async (_what, status, headers) => {
    const { ask } = await start(fails(status, { ...headers }, { secret: "inside" }));
    const answer = await ask();
    expect(answer.status).toBe(502);
    expect(codeIn(answer)).toBe("MODEL_ANSWER_INVALID");
    expect(answer.text).not.toContain("inside");
  });
});
