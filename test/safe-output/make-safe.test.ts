import { array, assert, constantFrom, property, tuple } from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "@mayfly/core";
import { makeSafe } from "../../packages/core/src/safe-output/make-safe.ts";
import { corpus } from "./corpus.ts";
import { pieces } from "./pieces.ts";
import { findLive } from "./oracle.ts";

const scope = { repository: { owner: "acme", name: "app" }, githubHost: "github.com" };
const DENIED = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}]|(?![\n\t])\p{Cc}/u;
/** Attacks of size are judged once, alone: inside others they cost time and show nothing new. */
const small = corpus.filter((text) => text.length < 3_500);

/** Everything that is wrong with what is left of the text, and the text; empty if nothing is. */
function problems(text: string): string[] {
  const { markdown } = makeSafe(text, scope);
  const lines = markdown.split("\n");
  const found = [
    ...findLive(markdown),
    ...(DENIED.test(markdown) ? ["a denied code point"] : []),
    ...(markdown.length > limits.commentCharsMax ? ["too long"] : []),
    ...(lines.length > limits.commentLinesMax ? ["too many lines"] : []),
    ...(lines.some((line) => line.length > limits.commentLineCharsMax) ? ["too long a line"] : []),
  ];
  return found.map(
    (problem) => `${problem} in ${JSON.stringify(markdown.slice(0, 200))} from ${JSON.stringify(text.slice(0, 200))}`,
  );
}

describe("attacks, as another parser reads what is left of them", () => {
  it("has at least 200 of them, each once", () => {
    expect(new Set(corpus).size).toBe(corpus.length);
    expect(corpus.length).toBeGreaterThanOrEqual(200);
  });

  it.each(corpus.map((text) => [JSON.stringify(text).slice(0, 60), text]))("does nothing: %s", (_, text) => {
    expect(problems(text)).toEqual([]);
  });

  it.each([
    ["a quote", (text: string) => text.replaceAll(/^/gm, "> ")],
    ["a list", (text: string) => `- ${text.replaceAll("\n", "\n  ")}`],
    ["emphasis", (text: string) => `a **${text}** b *${text}*`],
    ["a table", (text: string) => `| a | b |\n|---|---|\n| ${text.replaceAll("\n", " ")} | c |`],
    ["a link", (text: string) => `[${text}](https://github.com/acme/app/pull/1)`],
    ["an open fence", (text: string) => `a\n\n${text}\n\n\`\`\`\nb`],
    ["HTML", (text: string) => `<div>\n${text}\n</div>\n\n${text}`],
    ["its own company", (text: string) => `${text}${text}`],
  ])("does nothing inside %s", (_, wrap) => {
    expect(small.flatMap((text) => problems(wrap(text)))).toEqual([]);
  });

  it("does nothing as soup", () => {
    const soup = array(constantFrom(...pieces), { maxLength: 40 });
    assert(
      property(soup, (parts) => {
        expect(problems(parts.join(""))).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
    expect(pieces.length).toBeGreaterThan(50);
  });

  it("does nothing as attacks joined at random", () => {
    const joined = array(tuple(constantFrom(...small), constantFrom("", " ", "\n", "\n\n")), { maxLength: 8 });
    assert(
      property(joined, (parts) => {
        expect(problems(parts.flat().join(""))).toEqual([]);
      }),
      { numRuns: 500 },
    );
    expect(small.length).toBeGreaterThan(200);
  });

  it("stays closed, so that our own text after it is read as ours", () => {
    const own = "<i>ours</i> [x](https://github.com/acme/app/pull/987654)";
    for (const text of small) {
      expect(findLive(`${makeSafe(text, scope).markdown}\n\n${own}`)).toEqual(["html <i>", "html </i>"]);
    }
  });

  it("is as safe a second time", () => {
    expect(small.flatMap((text) => problems(makeSafe(text, scope).markdown))).toEqual([]);
  });
});

describe("the oracle itself", () => {
  it.each(["@a", "![a](b)", "[a](https://evil.example)", "<b>", "evil.com", "#1", "<!-- x -->", "deadbeef"])(
    "objects to %s as it is",
    (text) => {
      expect(findLive(text)).not.toEqual([]);
    },
  );
});
