import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PatchFile } from "./check.ts";
import { diffLines } from "./line-diff.ts";
import { suggestPatch } from "./suggestions.ts";

function file(before: string, after: string, other: Partial<PatchFile> = {}): PatchFile {
  const bytes = new TextEncoder().encode(after);
  return { path: "a.md", mode: "100644", bytes, isNew: false, lines: diffLines(before, after), ...other };
}

function suggested(before: string, after: string, other: Partial<PatchFile> = {}) {
  return suggestPatch([file(before, after, other)]).findings.map(({ start_line, line, suggestion }) => [
    start_line ?? line,
    line,
    suggestion,
  ]);
}

/** What GitHub makes of a file whose suggestions are all committed. */
function committed(before: string, suggestions: readonly (readonly (string | number | null)[])[]): string {
  const lines = before.split(/(?<=\n)/);
  for (const [from, to, text] of suggestions.toReversed()) {
    lines.splice(Number(from) - 1, Number(to) - Number(from) + 1, String(text));
  }
  return lines.join("");
}

describe("a patch as suggestions", () => {
  it.each([
    ["a line that is changed", "1\n2\n3\n", "1\nx\n3\n", [[2, 2, "x\n"]]],
    ["lines that come take the one above along", "1\n2\n3\n", "1\n2\nx\ny\n3\n", [[2, 2, "2\nx\ny\n"]]],
    ["lines that come first take the one below along", "1\n2\n", "x\n1\n2\n", [[1, 1, "x\n1\n"]]],
    ["a line that goes takes the one above along", "1\n2\n3\n", "1\n3\n", [[1, 2, "1\n"]]],
    ["the first line that goes takes the one below along", "1\n2\n3\n", "2\n3\n", [[1, 2, "2\n"]]],
    ["an empty line stays one", "1\n2\n3\n", "1\n\n3\n", [[2, 2, "\n"]]],
    [
      "two changes far apart are two",
      "1\n2\n3\n4\n5\n",
      "x\n2\n3\n4\ny\n",
      [
        [1, 1, "x\n"],
        [5, 5, "y\n"],
      ],
    ],
    ["two with one line between them are one", "1\n2\n3\n", "x\n2\ny\n", [[1, 3, "x\n2\ny\n"]]],
  ])("%s", (_what, before, after, expected) => {
    expect(suggested(before, after)).toEqual(expected);
  });

  it.each([
    ["a line with another end", "1\r\n2\r\n", "1\r\nx\r\n"],
    ["a last line without an end", "1\n2", "1\nx"],
    ["a file that becomes empty", "1\n2\n", ""],
    ["a file that was empty", "", "x\n"],
    ["what is longer than a person reads there", "1\n", `${"x".repeat(5_000)}\n`],
  ])("leaves out %s", (_what, before, after) => {
    expect(suggested(before, after)).toEqual([]);
  });

  it("leaves out new and deleted files", () => {
    expect(suggested("", "x\n", { isNew: true })).toEqual([]);
    expect(suggested("1\n", "", { bytes: null })).toEqual([]);
  });

  it("makes of the file what Codex made of it, once all are committed, and no two touch the same line", () => {
    const text = fc.array(fc.constantFrom("a\n", "b\n", "\n"), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(text, text, (before, after) => {
        const suggestions = suggested(before.join(""), after.join(""));
        expect(committed(before.join(""), suggestions)).toBe(after.join(""));
        suggestions.forEach(([from], index) => {
          expect(Number(from)).toBeGreaterThan(Number(suggestions[index - 1]?.[1] ?? 0));
        });
      }),
      { numRuns: 2_000 },
    );
  });
});
