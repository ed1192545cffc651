import { describe, expect, it } from "vitest";
import { diffLines, renderHunks } from "./line-diff.ts";

const side = (before: string, after: string, left: "-" | "+") =>
  diffLines(before, after)
    .filter(({ kind }) => kind === " " || kind === left)
    .map(({ text }) => text)
    .join("");

describe("diffLines", () => {
  it("gives both texts back, whatever they are", () => {
    const letters = ["a\n", "b\n", "c\n", "d"];
    let seed = 7;
    const next = () => (seed = (seed * 48_271) % 2_147_483_647);
    for (let round = 0; round < 500; round++) {
      const text = () => Array.from({ length: next() % 12 }, () => letters[next() % letters.length]).join("");
      const [before, after] = [text(), text()];
      expect([side(before, after, "-"), side(before, after, "+")]).toEqual([before, after]);
    }
  });

  it("finds the shortest way", () => {
    const kinds = diffLines("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n").map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind !== " ")).toHaveLength(5);
  });

  it("takes a text that differs everywhere as gone and come, soon", () => {
    const text = (word: string) => Array.from({ length: 20_000 }, (_, index) => `${word} ${index}\n`).join("");
    const lines = diffLines(text("a"), text("b"));
    expect(lines).toHaveLength(40_000);
  });
});

describe("renderHunks", () => {
  it("writes hunks as git does", () => {
    const before = Array.from({ length: 20 }, (_, index) => `${index + 1}\n`);
    const after = before.with(1, "two\n").with(18, "nineteen\n").join("").trimEnd();
    expect(renderHunks(diffLines(before.join(""), after))).toBe(
      [
        "@@ -1,5 +1,5 @@",
        " 1",
        "-2",
        "+two",
        " 3",
        " 4",
        " 5",
        "@@ -16,5 +16,5 @@",
        " 16",
        " 17",
        " 18",
        "-19",
        "-20",
        "+nineteen",
        "+20",
        "\\ No newline at end of file",
        "",
      ].join("\n"),
    );
  });

  it("writes a new file, a deleted one, and nothing", () => {
    expect(renderHunks(diffLines("", "a\n"))).toBe("@@ -0,0 +1,1 @@\n+a\n");
    expect(renderHunks(diffLines("a\n", ""))).toBe("@@ -1,1 +0,0 @@\n-a\n");
    expect(renderHunks(diffLines("a\n", "a\n"))).toBe("");
  });
});
