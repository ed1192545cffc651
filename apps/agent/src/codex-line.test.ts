import { describe, expect, it } from "vitest";
import { createLineSplitter, readTelling, shortenLine } from "./codex-line.ts";

function split(chunks: (string | Buffer)[], bytesMax = 1_000): [string, number][] {
  const lines: [string, number][] = [];
  const splitter = createLineSplitter({ bytesMax, onLine: (line, cut) => lines.push([line, cut]) });
  for (const chunk of chunks) {
    splitter.write(Buffer.from(chunk));
  }
  splitter.end();
  return lines;
}

describe("createLineSplitter", () => {
  it("finds the same lines however the bytes arrive", () => {
    const text = Buffer.from("one\ntwo – é\n\nthree");
    const wanted = [
      ["one", 0],
      ["two – é", 0],
      ["three", 0],
    ];
    expect(split([text])).toEqual(wanted);
    expect(split([...text].map((byte) => Buffer.from([byte])))).toEqual(wanted);
  });

  it("cuts a line that has no end and counts what it cut", () => {
    expect(split(["a".repeat(700), "a".repeat(700), "a".repeat(700), "\nshort\n"], 1_000)).toEqual([
      ["a".repeat(1_000), 1_100],
      ["short", 0],
    ]);
  });
});

describe("shortenLine", () => {
  it("leaves a line that fits as it is", () => {
    expect(shortenLine('{"a":"b"}', 100)).toBe('{"a":"b"}');
  });

  it("keeps a long event readable: its shape stays, its long text loses its middle", () => {
    const item = { id: "item_0", aggregated_output: `begin${"x".repeat(100_000)}end`, exit_code: 0 };
    const line = shortenLine(JSON.stringify({ type: "item.completed", item }), 10_000);
    expect(line.length).toBeLessThanOrEqual(10_000);
    const read = JSON.parse(line) as { item: typeof item };
    expect(read.item).toMatchObject({ id: "item_0", exit_code: 0 });
    expect(read.item.aggregated_output).toMatch(/^beginx+\n\[… \d+ characters cut …\]\nx+end$/);
  });

  it("cuts off what is no JSON, or JSON of too many small parts", () => {
    expect(shortenLine("y".repeat(500), 100)).toBe("y".repeat(100));
    const many = JSON.stringify(Array.from({ length: 1_000 }, (_, index) => index));
    expect(shortenLine(many, 100)).toBe(many.slice(0, 100));
  });

  it("never leaves half a character", () => {
    for (let length = 64; length < 68; length += 1) {
      expect(shortenLine("😀".repeat(100), length).isWellFormed()).toBe(true);
      expect(shortenLine(JSON.stringify({ text: "😀".repeat(1_000) }), 200 + length).isWellFormed()).toBe(true);
    }
  });
});

describe("readTelling", () => {
  it("reads usage, and no more of it than the result holds", () => {
    const usage = { input_tokens: 5, cached_input_tokens: 3, output_tokens: 2, reasoning_output_tokens: 1 };
    const line = JSON.stringify({ type: "turn.completed", usage: { ...usage, cache_write_input_tokens: 9 } });
    expect(readTelling(line)).toEqual({ type: "usage", usage });
  });

  it("counts what is no count as 0", () => {
    const usage = { input_tokens: -5, cached_input_tokens: "many", output_tokens: 1.5 };
    expect(readTelling(JSON.stringify({ type: "turn.completed", usage }))).toEqual({
      type: "usage",
      usage: { input_tokens: 0, cached_input_tokens: 0, output_tokens: 0, reasoning_output_tokens: 0 },
    });
  });

  it("reads both kinds of error", () => {
    const failed = '{"type":"turn.failed","error":{"message":"quota"}}';
    expect(readTelling(failed)).toEqual({ type: "error", message: "quota" });
    expect(readTelling('{"type":"error","message":"cut"}')).toEqual({ type: "error", message: "cut" });
  });

  it.each(["", "null", "[1]", "{", '{"type":"thread.started"}', '{"type":"error"}'])("passes over %j", (line) => {
    expect(readTelling(line)).toBeNull();
  });
});
