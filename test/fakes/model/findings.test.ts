import { describe, expect, it } from "vitest";
import type { DiffFile, DiffLine } from "./diff.ts";
import { findingsIn } from "./findings.ts";

/** A file with one hunk that starts at line 1; lines are given with their mark. */
function fileWith(path: string, marked: string[]): DiffFile {
  const kinds: Record<string, DiffLine["kind"]> = { "+": "added", "-": "removed" };
  let [oldLine, newLine] = [1, 1];
  const hunk = marked.map((text): DiffLine => {
    const kind = kinds[text.charAt(0)] ?? "context";
    const line = kind === "removed" ? oldLine : newLine;
    oldLine += kind === "added" ? 0 : 1;
    newLine += kind === "removed" ? 0 : 1;
    return { kind, line, text: text.slice(1) };
  });
  return { path, change: "modified", isBinary: false, hunks: [hunk], added: 0, removed: 0 };
}

function messagesFor(path: string, ...marked: string[]): string[] {
  return findingsIn(fileWith(path, marked)).map(({ line, message }) => `${line} ${message}`);
}

describe("suspicious lines", () => {
  const suspicious: [string, string, string][] = [
    ["a.js", "for (let i = 0; i <= list.length; i++) {", "one past the last index"],
    ["a.py", "while i <= len(items):", "one past the last index"],
    ["a.ts", "if (index <= this.items.length) {", "If it is an index"],
    ["a.ts", "const last = items[items.length];", "one past the last element"],
    ["a.py", "for i in range(len(items) + 1):", "one past the last index"],
    ["a.js", "for (let i = 1; i < list.length; i++) {", "never visited"],
    ["a.js", "if (value == null) return;", "treats `undefined` like `null`"],
    ["a.ts", "return value != null;", "`!==` says so"],
    ["a.js", "const answer = eval(input);", "runs text as code"],
    ["a.js", "const f = new Function(body);", "runs text as code"],
    ["a.md", "TODO: write this", "adds a `TODO`"],
    ["a.js", "// FIXME later", "adds a `FIXME`"],
    ["a.js", "if (mode = fast) {", "assigns to `mode`"],
    ["a.js", "if (a.size === a.size) {", "with itself"],
    ["a.js", "const mean = total / count;", "divides by `count`"],
    ["a.py", "mean = sum(xs) / len(xs)", "divides by `len(xs)`"],
  ];

  it.each(suspicious)("sees in %s: %s", (path, line, message) => {
    expect(messagesFor(path, " first", `+${line}`)).toEqual([expect.stringContaining(message)]);
    expect(messagesFor(path, " first", `+${line}`)[0]).toMatch(/^2 /);
  });

  const fine: [string, string][] = [
    ["a.js", "for (let i = 0; i < list.length; i++) {"],
    ["a.js", "for (let i = 0; i <= list.length - 1; i++) {"],
    ["a.js", "if (a.length <= b.length) {"],
    ["a.js", "if (value === null || other !== null) {"],
    ["a.java", "if (value == null) {"],
    ["a.js", "const text = 'eval(x) and a == null';"],
    ["a.js", "// eval(x) is bad, and so is a / b"],
    ["a.js", "model.eval(batch);"],
    ["a.md", "Never call eval(input), nor divide by / zero."],
    ["a.js", "if (mode === fast) { mode = slow; }"],
    ["a.js", "const f = (a) => a >= 1;"],
    ["a.js", "if (a.b === b.a) {"],
    ["a.js", "const seconds = ms / 1000;"],
    ["a.js", "const seconds = ms / MS_PER_SECOND;"],
    ["a.js", "const mean = count > 0 ? total / count : 0;"],
    ["a.js", "return /pattern/.test(text);"],
    ["a.js", "const mastodon = 1;"],
  ];

  it.each(fine)("has nothing to say about %s: %s", (path, line) => {
    expect(messagesFor(path, `+${line}`)).toEqual([]);
  });

  it("leaves generated lines alone", () => {
    expect(messagesFor("a.js", `+eval(x);${"a".repeat(500)}`)).toEqual([]);
  });

  it("is silent about lines that were removed or stood there before", () => {
    expect(messagesFor("a.js", " eval(a);", "-eval(b); // TODO")).toEqual([]);
  });

  it("sees a comparison that changed and nothing else", () => {
    const [message] = messagesFor(
      "a.js",
      "-  return age >= 18;",
      "-  return x;",
      "+  return age > 18;",
      "+  return y;",
    );
    expect(message).toBe("1 The comparison was `>=` and is now `>`; nothing else on the line changed.");
    expect(messagesFor("a.js", "-  return age >= 18;", "+  return age > 21;")).toEqual([]);
    expect(messagesFor("a.js", "-  if (a < b) {", " x", "+  if (a > b) {")).toEqual([]);
  });

  it("takes a check in the lines above for a check", () => {
    expect(messagesFor("a.js", " if (count === 0) return 0;", "+return total / count;")).toEqual([]);
    expect(messagesFor("a.js", "-if (count === 0) return 0;", "+return total / count;")).toHaveLength(1);
  });
});
