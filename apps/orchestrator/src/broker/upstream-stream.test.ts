import { once } from "node:events";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { ModelUsage } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { finalEvent } from "./model-gateway.fixture.ts";
import { meteredStream } from "./upstream-stream.ts";

const usage = { input_tokens: 1_000, input_tokens_details: { cached_tokens: 400 }, output_tokens: 20 };

/** Bounds that nothing here meets unless it says so, and what was counted. */
function options(bounds: { bytesMax?: number; idleMs?: number } = {}) {
  const counted: ModelUsage[] = [];
  return {
    counted,
    bytesMax: 1_000_000,
    idleMs: 60_000,
    onUsage: async (one: ModelUsage) => void counted.push(one),
    ...bounds,
  };
}

describe("the stream of an answer", () => {
  it("passes every byte on unchanged, and counts once", async () => {
    const wanted = options();
    const pieces = ["event: a\r\n", "data: é", "\n\n", finalEvent.slice(0, 50), finalEvent.slice(50), finalEvent];
    const answer = Readable.from(pieces.map((piece) => Buffer.from(piece)));
    expect(await text(meteredStream(answer, wanted))).toBe(pieces.join(""));
    expect(wanted.counted).toEqual([usage]);
  });

  it("holds the last event back until it is counted", async () => {
    const asked = Promise.withResolvers<void>();
    const counted = Promise.withResolvers<void>();
    const answer = Readable.from([Buffer.from("data: {}\n\n"), Buffer.from(finalEvent)]);
    const stream = meteredStream(answer, {
      async onUsage() {
        asked.resolve();
        await counted.promise;
      },
    });
    let seen = 0;
    stream.on("data", () => (seen += 1));
    await asked.promise;
    // All that can come without the count has come after some turns of the loop.
    for (let turns = 0; turns < 10; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(seen).toBe(1);
    counted.resolve();
    await once(stream, "end");
    expect(seen).toBe(2);
  });

  it("is cut when it has no end", async () => {
    const endless = new Readable({ read: () => void endless.push(Buffer.alloc(10_000)) });
    let taken = 0;
    const read = (async () => {
      for await (const chunk of meteredStream(endless, options({ bytesMax: 100_000 })) as AsyncIterable<Buffer>) {
        taken += chunk.length;
      }
    })();
    await expect(read).rejects.toThrow("too long");
    expect(taken).toBeLessThanOrEqual(100_000);
    expect(endless.destroyed).toBe(true);
  });

  it("is cut when it falls silent, and not while it speaks", async () => {
    const answer = new PassThrough();
    const stream = meteredStream(answer, options({ idleMs: 200 }));
    const read = text(stream);
    const spoken = setInterval(() => answer.write("x"), 50);
    setTimeout(() => clearInterval(spoken), 500);
    const started = performance.now();
    await expect(read).rejects.toThrow("silent");
    expect(performance.now() - started).toBeGreaterThan(500);
    expect(answer.destroyed).toBe(true);
  });

  it("is an error where the model's side was cut", async () => {
    const answer = new PassThrough();
    const read = text(meteredStream(answer, options()));
    answer.write("x");
    answer.destroy();
    await expect(read).rejects.toThrow();
  });

  it("lets go of the model when its reader leaves, be it reading or not", async () => {
    const answer = new Readable({ read: () => void answer.push(Buffer.alloc(1_000)) });
    const stream = meteredStream(answer, options());
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await expect.poll(() => answer.destroyed).toBe(true);
  });
});
