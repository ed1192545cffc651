import { describe, expect, it } from "vitest";
import { createUsageReader } from "./usage-reader.ts";

const usage = {
  input_tokens: 1_200,
  input_tokens_details: { cached_tokens: 1_024 },
  output_tokens: 34,
  output_tokens_details: { reasoning_tokens: 10 },
  total_tokens: 1_234,
};
const read = { input_tokens: 1_200, input_tokens_details: { cached_tokens: 1_024 }, output_tokens: 34 };

function event(body: object & { type: string }, lineEnd = "\n"): string {
  return [`event: ${body.type}`, `data: ${JSON.stringify(body)}`, "", ""].join(lineEnd);
}

const created = event({ type: "response.created", response: { id: "r", usage: null } } as never);
const piece = event({ type: "response.output_text.delta", delta: "é 文 response.completed" } as never);
const completed = event({ type: "response.completed", response: { id: "r", usage } } as never);

function readAll(text: string, options: { size?: number; eventBytesMax?: number } = {}) {
  const { size = Infinity, ...bounds } = options;
  const reader = createUsageReader(bounds);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) {
    reader.push(bytes.subarray(at, Math.min(at + size, bytes.length)));
  }
  return reader.end();
}

describe("the usage reader", () => {
  it.each(["response.completed", "response.incomplete", "response.failed"])("finds the usage in %s", (type) => {
    expect(readAll(created + piece + event({ type, response: { usage } } as never))).toEqual(read);
  });

  it("finds it however the bytes are cut", () => {
    const text = created + piece + completed;
    for (let size = 1; size < 80; size++) {
      expect(readAll(text, { size })).toEqual(read);
    }
  });

  it.each(["\n", "\r\n", "\r"])("finds it with lines that end in %j", (lineEnd) => {
    const text = [created, piece, completed].join("").replaceAll("\n", lineEnd);
    for (const size of [1, 2, 3, Infinity]) {
      expect(readAll(text, { size })).toEqual(read);
    }
  });

  it("says so as soon as the event has ended, before the stream has", () => {
    const reader = createUsageReader();
    expect(reader.push(Buffer.from(created + completed.slice(0, -1)))).toBeNull();
    expect(reader.push(Buffer.from("\n"))).toEqual(read);
  });

  it("finds it without the last empty line, behind a byte order mark, without a space, over several lines", () => {
    expect(readAll(completed.trimEnd())).toEqual(read);
    expect(readAll(`\u{feff}data: ${JSON.stringify({ type: "response.completed", response: { usage } })}`)).toEqual(
      read,
    );
    expect(readAll(completed.replace("data: ", "data:"))).toEqual(read);
    const lines = JSON.stringify({ type: "response.completed", response: { usage } }, null, 1)
      .split("\n")
      .map((line) => `data: ${line}\n`);
    expect(readAll(`: a comment\n${lines.join("")}\n`)).toEqual(read);
  });

  it("takes the first final event, so that nothing behind it changes the count", () => {
    const another = event({
      type: "response.completed",
      response: { usage: { input_tokens: 0, output_tokens: 0 } },
    } as never);
    expect(readAll(completed + another)).toEqual(read);
  });

  it.each([
    ["no final event", created + piece],
    ["words of the model that look like one", event({ type: "response.output_text.delta", delta: completed } as never)],
    ["no JSON", "data: response.completed {\n\n"],
    ["a final event that was cut", completed.slice(0, -40)],
    [
      "usage of another shape",
      event({ type: "response.completed", response: { usage: { input_tokens: "1" } } } as never),
    ],
    [
      "negative tokens",
      event({ type: "response.completed", response: { usage: { ...usage, output_tokens: -1 } } } as never),
    ],
    ["usage twice", completed.replace('"usage":', '"usage":{"input_tokens":0,"output_tokens":0},"usage":')],
    ["a name that parsers read in two ways", completed.replace('"usage":', '"\\u0061":1,"usage":')],
    ["no usage", event({ type: "response.completed", response: {} } as never)],
    ["usage that is not the response's", event({ type: "response.completed", usage } as never)],
    ["half a character", completed.replace('"r"', '"\\ud800"')],
    ["nothing", ""],
  ])("counts usage as missing with %s", (_what, text) => {
    expect(readAll(text)).toBeNull();
    expect(readAll(text, { size: 1 })).toBeNull();
  });

  it("counts usage as missing where the event is no UTF-8", () => {
    const reader = createUsageReader();
    reader.push(Buffer.from(completed.replace('"r"', '"\u00ff"'), "latin1"));
    expect(reader.end()).toBeNull();
  });

  it("passes over an event longer than its bound, and reads the next one", () => {
    const long = event({ type: "response.completed", response: { usage, text: "x".repeat(1_000) } } as never);
    expect(readAll(long, { eventBytesMax: 500 })).toBeNull();
    expect(readAll(long + completed, { eventBytesMax: 500, size: 7 })).toEqual(read);
    const inLines = `${"data: 12345678901234567890\n".repeat(100)}\n`;
    expect(readAll(inLines + completed, { eventBytesMax: 500 })).toEqual(read);
  });

  it("takes a stream of nothing but line ends in one pass", () => {
    // Looked through again for every line it would take minutes, which the runner does not wait for.
    expect(readAll("\n".repeat(1_000_000))).toBeNull();
    expect(readAll("\r".repeat(1_000_000))).toBeNull();
  });
});
