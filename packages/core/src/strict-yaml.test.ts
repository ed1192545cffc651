import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readStrictYaml } from "./strict-yaml.ts";

const CHARS_MAX = 16 * 1_024;

function read(text: string) {
  return readStrictYaml(text, { charsMax: CHARS_MAX });
}

describe("readStrictYaml", () => {
  it("reads a mapping, and says where its parts stand", () => {
    const result = read("a: 1\nb:\n  c: [x, yes]\n");
    if (!result.ok) {
      throw new Error("it was refused");
    }
    expect(result.yaml.value).toEqual({ a: 1, b: { c: ["x", "yes"] } });
    expect(result.yaml.placeOf(["b", "c"], "key")).toEqual({ line: 3, column: 3 });
    expect(result.yaml.placeOf(["b", "c"], "value")).toEqual({ line: 3, column: 6 });
    expect(result.yaml.placeOf(["b", "c", 1], "value")).toEqual({ line: 3, column: 10 });
    expect(result.yaml.placeOf(["b", "missing"], "key")).toEqual({ line: 2, column: 1 });
    expect(result.yaml.placeOf(["nowhere"], "key")).toEqual({ line: 1, column: 1 });
  });

  it("takes an empty text for an empty mapping", () => {
    expect(read("")).toMatchObject({ ok: true, yaml: { value: {} } });
    expect(read("# only a comment\n")).toMatchObject({ ok: true, yaml: { value: {} } });
  });

  it.each([
    ["a repeated name", "a: 1\nb: 2\na: 3", 3, 1, /given twice/],
    ["a list", "- a", 1, 1, /name: value/],
    ["a text", "just words", 1, 1, /name: value/],
    ["an anchor", "a: &x 1", 1, 7, /anchors/],
    ["an alias", "b: *x", 1, 4, /./],
    ["a tag", "a: 1\nb: !!binary aGk=", 2, 13, /tag/],
    ["a tag of one's own", "a: !run x", 1, 9, /tag/],
    ["a second document", "a: 1\n---\nb: 2", 2, 1, /one document/],
    ["a mapping as a name", "? {a: 1}\n: 2", 1, 3, /a name must be text/],
    ["a list without an end", "a: [1, 2", 1, 9, /./],
    ["too many characters", "a: ".padEnd(CHARS_MAX + 1, "x"), 1, 1, /longer than/],
  ])("refuses %s", (_, text, line, column, message) => {
    const result = read(text);
    expect(result).toMatchObject({ ok: false });
    const [problem] = result.ok ? [] : result.problems;
    expect(problem?.message).toMatch(message);
    expect(`${problem?.line}:${problem?.column}`).toBe(`${line}:${column}`);
  });

  it("refuses aliases before they can multiply", () => {
    const bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n";
    expect(read(bomb)).toMatchObject({ ok: false });
  });

  it.each([
    ["flow lists", "a: " + "[".repeat(8_000)],
    ["closed flow lists", `a: ${"[".repeat(200)}${"]".repeat(200)}`],
    ["block lists", "- ".repeat(8_000)],
    ["mappings", "{a: ".repeat(4_000)],
    ["names", "? ".repeat(8_000)],
  ])("ends at a bounded depth of %s", (_, text) => {
    expect(read(text)).toMatchObject({ ok: false });
  });

  it("counts lines from where the text begins in its file", () => {
    expect(readStrictYaml("a: 1\na: 2", { charsMax: 100, firstLine: 5 })).toMatchObject({ problems: [{ line: 6 }] });
  });

  it("never throws, whatever the text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), yamlish()), (text) => {
        const result = read(text);
        expect(result.ok || result.problems.every(({ line, column }) => line >= 1 && column >= 1)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});

/** Texts of the pieces that YAML is made of, which plain random texts seldom hit. */
function yamlish() {
  const piece = fc.constantFrom(
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    "&x ",
    "*x",
    "!t ",
    "|",
    ">",
    '"',
    "'",
    "#",
    "?",
    "---\n",
    "...\n",
    "%YAML",
    "\t",
    ",",
    "<<",
    "\u{1F600}",
    "\0",
    "\r",
  );
  return fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(""));
}
