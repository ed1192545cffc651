import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchesAnyFolded, matchesGlob } from "./glob.ts";

describe("matchesGlob", () => {
  it.each([
    ["codex-*", "codex-review", true],
    ["codex-*", "codex-", true],
    ["codex-*", "codex", false],
    ["codex-*", "my-codex-review", false],
    ["*", "anything", true],
    ["*", "", true],
    ["*", "owner/name", false],
    ["*/*", "owner/name", true],
    ["owner/*", "owner/name/more", false],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "a-c-b", false],
    ["a.c", "abc", false],
    ["", "", true],
    ["", "a", false],
    ["codex-review", "Codex-Review", false],
  ])("%j against %j is %j", (pattern, value, expected) => {
    expect(matchesGlob(pattern, value)).toBe(expected);
  });

  it("matches every text without a star against itself", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const plain = text.replaceAll("*", "");
        expect(matchesGlob(plain, plain)).toBe(true);
      }),
    );
  });

  it("agrees with the expression it stands for", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "/", "*"), maxLength: 6 });
    fc.assert(
      fc.property(pattern, word, (glob, value) => {
        expect(matchesGlob(glob, value)).toBe(new RegExp(`^${glob.replaceAll("*", "[^/]*")}$`).test(value));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("matchesAnyFolded", () => {
  it("does not tell cases apart", () => {
    expect(matchesAnyFolded(["x", "Example/*"], "example/Repo")).toBe(true);
    expect(matchesAnyFolded([], "x")).toBe(false);
  });
});
