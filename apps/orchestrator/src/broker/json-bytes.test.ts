import { describe, expect, it } from "vitest";
import { decodeUtf8, readJsonBytes } from "./json-bytes.ts";

const bounds = { depthMax: 2, charsMax: 20 };

describe("bytes of somebody else's", () => {
  it.each(["", "{}", "\u{feff}{}", "é 文 😀", "\0"])("are the text %j, and no other", (text) => {
    expect(decodeUtf8(Buffer.from(text))).toBe(text);
  });

  it.each([[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]])(
    "are no text where they are no UTF-8: %j",
    (...bytes) => {
      expect(decodeUtf8(Buffer.from(bytes))).toBeNull();
      expect(readJsonBytes(Buffer.from([0x22, ...bytes, 0x22]), bounds)).toBeUndefined();
    },
  );

  it.each(['{"a":[1]}', "null", '"é"'])("are the JSON %j as any reader reads it", (text) => {
    expect(readJsonBytes(Buffer.from(text), bounds)).toEqual(JSON.parse(text));
  });

  it.each(["", "{", "\u{feff}{}", "[[[]]]", '{"a":1,"a":1}', '{"\\u0061":1}', '"\\ud800"', `"${"x".repeat(20)}"`])(
    "are no JSON that we read: %j",
    (text) => {
      expect(readJsonBytes(Buffer.from(text), bounds)).toBeUndefined();
    },
  );
});
