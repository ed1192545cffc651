import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { readStrictJson, type StrictJsonFault } from "./strict-json.ts";

const bounds = { depthMax: 10, charsMax: 1_000 };

function read(text: string, more: Partial<typeof bounds> & { valuesMax?: number } = {}): unknown {
  const result = readStrictJson(text, { ...bounds, ...more });
  return result.ok ? result.value : result.why;
}

describe("reading strict JSON", () => {
  it.each([
    '{"a":[1,-2.5e3,true,false,null,"\\u00e9\\n\\"\\\\"],"b":{"a":1}}',
    ' [ { "a" : { } } , { "a" : [ ] } ] ',
    '"{[,:"',
    '{"a":"\\\\","b":"\\\\\\"","c":":,{"}',
    '{"":1,"constructor":2,"prototype":3,"toString":4}',
    '"\\ud83d\\ude00 😀"',
    "0",
    '[["a","a"],"a","a"]',
  ])("reads %s as any other reader does", (text) => {
    expect(readStrictJson(text, bounds)).toEqual({ ok: true, value: JSON.parse(text) });
  });

  it.each<[string, StrictJsonFault]>([
    ["", "not_json"],
    ["{", "not_json"],
    ["}", "not_json"],
    ['{"a":1}}', "not_json"],
    ['"a', "not_json"],
    ['"a\\"', "not_json"],
    ["{'a':1}", "not_json"],
    ["[1,]", "not_json"],
    ["01", "not_json"],
    ["NaN", "not_json"],
    ["\ufeff{}", "not_json"],
    ['{"a":1 /* */}', "not_json"],
    ['{"a":1,"a":1}', "duplicate_key"],
    ['{"ab":1,"\\u0061b":2}', "duplicate_key"],
    ['[{"x":{"a":[{}],"b":"}","a":1}}]', "duplicate_key"],
    ['{"a\\"":1,"b":2,"a\\"":3}', "duplicate_key"],
    ['{"__proto__":{}}', "forbidden_key"],
    ['[{"a":{"\\u005f_proto\\u005f_":1}}]', "forbidden_key"],
    ['{"\\u0061":1}', "forbidden_key"],
    ['{"\\n":1}', "forbidden_key"],
    ['"\\ud800"', "lone_surrogate"],
    ['"\\udc00\\ud800"', "lone_surrogate"],
    ['{"\\ud83d":1}', "lone_surrogate"],
    ['["\ud800"]', "lone_surrogate"],
    [`${"[".repeat(11)}${"]".repeat(11)}`, "too_deep"],
    ['{"a":'.repeat(11), "too_deep"],
  ])("refuses %j as %s", (text, why) => {
    expect(read(text)).toBe(why);
  });

  it("takes exactly as many characters, levels and values as it is told", () => {
    expect(read("[1]", { charsMax: 3 })).toEqual([1]);
    expect(read("[1] ", { charsMax: 3 })).toBe("too_long");
    expect(read("[[]]", { depthMax: 2 })).toEqual([[]]);
    expect(read("[[]]", { depthMax: 1 })).toBe("too_deep");
    expect(read("1", { depthMax: 0 })).toBe(1);
    expect(read('{"a":1,"b":2}', { valuesMax: 5 })).toEqual({ a: 1, b: 2 });
    expect(read('{"a":1,"b":2}', { valuesMax: 4 })).toBe("too_many");
    expect(read('"{[,:"', { valuesMax: 1 })).toBe("{[,:");
  });

  it("reads what is hardest for it in linear time", () => {
    const size = 4 * 1024 * 1024;
    const hard = {
      backslashes: `"${"\\\\".repeat(size / 2)}"`,
      quotes: `"${'\\"'.repeat(size / 2)}"`,
      unclosed: `"${'\\"'.repeat(size / 2)}`,
      names: `{${Array.from({ length: size / 16 }, (_name, index) => `"name ${index}":0`).join(",")}}`,
      codes: `["${"\\u0061".repeat(size / 6)}"]`,
      deep: "[".repeat(size),
    };
    const started = performance.now();
    const results = Object.values(hard).map((text) => readStrictJson(text, { depthMax: 64, charsMax: 2 * size }).ok);
    expect(results).toEqual([true, true, false, true, true, false]);
    // Each takes some 50 ms; anything quadratic would take hours.
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe("compared with JSON.parse", () => {
  const texts = [...documents({ seed: 8259, count: 3_000 })];

  it("reads every document whose names differ to the same value", () => {
    for (const text of texts) {
      expect(readStrictJson(text, { depthMax: 100, charsMax: 1e6 })).toEqual({ ok: true, value: JSON.parse(text) });
    }
  });

  it("never reads what JSON.parse does not, and calls a name repeated only where JSON.parse lost one", () => {
    const seen = new Map<string, number>();
    for (const text of mutated(texts)) {
      const result = readStrictJson(text, { depthMax: 100, charsMax: 1e6 });
      const key = result.ok ? "read" : result.why;
      seen.set(key, (seen.get(key) ?? 0) + 1);
      const parsed = parse(text);
      const isRight = {
        read: () => result.ok && isDeepStrictEqual(result.value, parsed?.value),
        not_json: () => parsed === null,
        duplicate_key: () => countNames(parsed?.value) < countWrittenNames(text),
        other: () => parsed !== null,
      };
      const check = key in isRight ? isRight[key as keyof typeof isRight] : isRight.other;
      expect({ text, key, isRight: check() }).toEqual({ text, key, isRight: true });
    }
    expect([...seen.keys()].sort()).toEqual(["duplicate_key", "forbidden_key", "lone_surrogate", "not_json", "read"]);
  });
});

function parse(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return null;
  }
}

function countNames(value: unknown): number {
  if (typeof value !== "object" || value === null) {
    return 0;
  }
  const entries = Object.values(value);
  return (Array.isArray(value) ? 0 : entries.length) + entries.reduce<number>((sum, each) => sum + countNames(each), 0);
}

function countWrittenNames(text: string): number {
  return (text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, "S").match(/S\s*:/g) ?? []).length;
}

function createRandom(seed: number): (count: number) => number {
  let state = seed | 1;
  return (count) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
}

function* documents(options: { seed: number; count: number }): Generator<string> {
  const below = createRandom(options.seed);
  const strings = ["", "a", 'q"', "\\", "\\\\", "{", "]", ",", ":", "é", "😀", "\u2028", "\u0000", "\n", "constructor"];
  const escaped = (sign: string): string => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const written = (value: string): string =>
    below(3) === 0
      ? `"${Array.from(value, (sign) => (sign.length === 1 ? escaped(sign) : sign)).join("")}"`
      : JSON.stringify(value);
  const space = (): string => ["", "", " ", "\n\t"][below(4)] ?? "";
  const string = (): string => strings[below(strings.length)] ?? "";
  const value = (depth: number): string => {
    const kind = below(depth > 6 ? 4 : 6);
    if (kind === 4) {
      return `[${space()}${Array.from({ length: below(4) }, () => value(depth + 1)).join(`${space()},`)}]`;
    }
    if (kind === 5) {
      // Names of one character are not written with escapes: see the reader.
      const names = [...new Set(Array.from({ length: below(5) }, () => `${string()}..`))];
      return `{${names.map((name) => `${space()}${written(name)}${space()}:${value(depth + 1)}`).join(",")}${space()}}`;
    }
    return kind === 0 ? written(string()) : (["null", "true", "-0.5e-3", "12"][below(4)] ?? "null");
  };
  for (let index = 0; index < options.count; index++) {
    yield space() + value(0) + space();
  }
}

/** Each document with one piece put in or taken out somewhere. */
function* mutated(texts: readonly string[]): Generator<string> {
  const below = createRandom(7159);
  const pieces = [
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a":1,',
    '"\\u0061..":1,',
    '"__proto__":1,',
    "\\ud800",
    '"\\udfff",',
    "0",
  ];
  for (const text of texts) {
    const at = below(text.length + 1);
    yield text.slice(0, at) + (pieces[below(pieces.length)] ?? "") + text.slice(at);
    yield text.slice(0, at) + text.slice(at + 1 + below(3));
    yield text.replaceAll("{", () => (below(4) === 0 ? `{${pieces[8 + below(3)] ?? ""}` : "{"));
  }
}
