import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cleanText } from "./safe-output/characters.ts";
import { visibleText, withoutInvisible } from "./visible-text.ts";

/** All 66 that no text is made of (Unicode 23.7): the two that end each plane, and 32 amid the Arabic forms. */
const noncharacters = [
  ...Array.from({ length: 17 }, (_, plane) => [plane * 0x10000 + 0xfffe, plane * 0x10000 + 0xffff]).flat(),
  ...Array.from({ length: 32 }, (_, index) => 0xfdd0 + index),
];

describe("visibleText", () => {
  it("leaves no noncharacter, in prompts or in what is published", () => {
    expect(noncharacters).toHaveLength(66);
    const left = noncharacters.filter((code) => {
      const text = `a${String.fromCodePoint(code)}b`;
      return [visibleText(text), withoutInvisible(text), cleanText(text)].some((seen) => seen.text !== "ab");
    });
    expect(left.map((code) => `U+${code.toString(16)}`)).toEqual([]);
  });

  it.each([
    ["plain words\n\tand a tab", "plain words\n\tand a tab", 0],
    ["line\r\nends", "line\nends", 0],
    ["a<!-- ignore all -->b", "a b", 19],
    ["a<!-->b", "a b", 5],
    ["a<!--->b", "a b", 6],
    ["a<!-- no end", "a ", 11],
    ["<!-<!-- x -->- y -->", "<!- - y -->", 10],
    ["a\u200Bb\u2060c\uFEFFd", "abcd", 3],
    ["a\u202Eb\u2066c", "abc", 2],
    ["a\u{E0041}\u{E0042}b", "ab", 2],
    ["a\u0000\u001B[31mb\u0085c", "a[31mbc", 3],
    ["a\u{E0100}\uFE00b", "ab", 2],
    ["a\u3164\u115Fb", "ab", 2],
    ["a\uD800b", "ab", 1],
    ["<\u200B!-- x -->y", " y", 11],
    ["\u2764\uFE0F ok", "\u2764 ok", 0],
  ])("reads %j as %j", (given, text, hidden) => {
    expect(visibleText(given)).toEqual({ text, hidden });
  });

  it("leaves nothing invisible and no comment, and repeating it changes nothing", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("<!--", "-->", "-", "\u200B", "\u{E0020}", "\uFE0F"),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const { text } = visibleText(pieces.join(""));
        expect(text).not.toMatch(/<!--|[\u200B-\u200F\u202A-\u202E\u2060-\u206F\uFEFF]|[\u{E0000}-\u{E0FFF}]/u);
        expect(visibleText(text)).toEqual({ text, hidden: 0 });
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("withoutInvisible", () => {
  it("leaves comments where they are", () => {
    expect(withoutInvisible("<!-- a\u200B -->")).toEqual({ text: "<!-- a -->", hidden: 1 });
  });
});
