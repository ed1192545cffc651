import { describe, expect, it } from "vitest";
import { cleanText } from "./characters.ts";
import { toTerminal } from "./to-terminal.ts";

const DENIED = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}]|(?![\n\t])\p{Cc}/u;

/** Every code point there is, lone surrogates too, in pieces that no other can combine with. */
function* everyCodePoint(): Generator<string> {
  for (let point = 0; point <= 0x10ffff; point += 1) {
    yield String.fromCodePoint(point);
  }
}

describe("clean text", () => {
  it("has no denied code point, and is not changed by a second pass, whatever the code point was", () => {
    const bad = everyCodePoint().filter((point) => {
      const { text } = cleanText(`a${point}b`);
      return DENIED.test(text) || cleanText(text).text !== text;
    });
    expect([...bad].map((point) => point.codePointAt(0))).toEqual([]);
  });

  it.each([
    ["colours", "\u001b[31mred\u001b[0m", "red", 2],
    ["a title", "a\u001b]0;evil\u0007b", "ab", 1],
    ["a hyperlink", "\u001b]8;;https://evil.example\u001b\\x\u001b]8;;\u001b\\", "x", 2],
    ["8-bit sequences", "\u009b31mred\u0090payload\u009c", "red", 2],
    ["a string that never ends", "\u001b]0;left", "0;left", 1],
    ["backspaces and carriage returns", "a\bb\rc\r\nd", "ab\nc\nd", 1],
  ])("is without %s", (_, raw, text, controls) => {
    expect(cleanText(raw)).toMatchObject({ text, controls });
  });

  it("keeps scripts, emoji and accents, and composes them", () => {
    expect(cleanText("e\u0301 漢字 עברית 🙂\tx\ny").text).toBe("é 漢字 עברית 🙂\tx\ny");
  });

  it("cuts piles of marks", () => {
    expect(cleanText(`q${"\u0323".repeat(500)}`).text).toHaveLength(9);
  });
});

describe("text for a terminal", () => {
  it("has no control and nothing invisible, whatever the code point was", () => {
    const bad = everyCodePoint().filter((point) => DENIED.test(toTerminal(`a${point}b`)));
    expect([...bad].map((point) => point.codePointAt(0))).toEqual([]);
  });

  it("shows what it took away", () => {
    expect(toTerminal("a\u001b[31m\r\n\tb\u202ec\rd\u009b")).toBe("a\\x1b[31m\n\tb\\u{202e}c\\x0dd\\x9b");
  });
});
