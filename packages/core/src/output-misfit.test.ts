import { Ajv } from "ajv";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outputMisfit, sayMisfit, structuredMisfit } from "./output-misfit.ts";
import { readOutputSchema } from "./output-schema.ts";
import { reviewSchema } from "./review.ts";

/** What a person reads about an answer, "fits" if nothing. */
function said(schema: unknown, value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const misfit = structuredMisfit(JSON.stringify(schema), { state: "present", text });
  return misfit === null ? "fits" : sayMisfit(misfit);
}

const name = fc.constantFrom("a", "b", "constructor");
const size = fc.nat({ max: 3 });
const plain = fc.oneof(
  fc.constantFrom("", "a", "👩", null, true, false),
  fc.integer({ min: -2, max: 2 }),
  fc.constant(0.5),
);

const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    plain,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(name, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
}));

const { schema: anySchema } = fc.letrec<{ schema: unknown; object: object }>((tie) => ({
  schema: fc.oneof({ maxDepth: 3 }, fc.boolean(), tie("object")),
  object: fc.oneof(
    ...[
      {
        type: fc.constantFrom("object", "array", "string", "number", "integer", "boolean", "null", ["string", "null"]),
      },
      { enum: fc.uniqueArray(plain, { minLength: 1, maxLength: 3 }) },
      { const: plain },
      { minLength: size, maxLength: size },
      { minItems: size, maxItems: size, items: tie("schema") },
      { minimum: size, exclusiveMaximum: size },
      { maximum: size, exclusiveMinimum: size },
      { anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) },
      { allOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) },
      { $ref: fc.constantFrom("#/$defs/a", "#/$defs/b") },
      {
        properties: fc.dictionary(name, tie("schema"), { maxKeys: 3, noNullPrototype: true }),
        required: fc.uniqueArray(name, { maxLength: 2 }),
        additionalProperties: tie("schema"),
      },
    ].map((keywords) => fc.record(keywords as Record<string, fc.Arbitrary<unknown>>, { requiredKeys: [] })),
  ),
}));

describe("an answer held to a schema", () => {
  it("fits exactly when Ajv says so", () => {
    const ajv = new Ajv({ strict: false, validateSchema: false, ownProperties: true });
    let fitting = 0;
    fc.assert(
      fc.property(anySchema, anySchema, anyValue, (schema, other, value) => {
        const whole = { allOf: [schema], $defs: { a: other, b: { type: "string" } } };
        // A schema that means itself has no meaning to compare.
        fc.pre(!JSON.stringify(other).includes("$defs/a"));
        const read = readOutputSchema(JSON.stringify(whole));
        if (!read.ok) {
          throw new Error(`${read.problem}: ${JSON.stringify(whole)}`);
        }
        const fits = ajv.compile(whole)(value);
        fitting += fits ? 1 : 0;
        expect(outputMisfit(read.schema, value) === null).toBe(fits);
      }),
      { numRuns: 1_500 },
    );
    expect(fitting).toBeGreaterThan(100);
  });

  it.each<[string, unknown, unknown, string]>([
    ["a value of another kind", { type: "object" }, [], "there must be an object"],
    [
      "a value deep within",
      { properties: { list: { items: { type: ["integer", "null"] } } } },
      { list: [1, null, "x"] },
      "at `/list/2` there must be a whole number or null",
    ],
    ["a value that is missing", { required: ["verdict"] }, {}, "at `/verdict` there must be a value"],
    ["a name too many", { additionalProperties: false }, { more: 1 }, "at `/more` there must be nothing"],
    [
      "a word that is not listed",
      { enum: ["yes", "no"] },
      '"maybe"',
      "there must be one of the 2 values that the schema names",
    ],
    ["a long text", { maxLength: 1 }, '"👩👩"', "there must be at most 1 characters, and there are 2"],
    ["no JSON at all", {}, "All is well.", "there must be JSON that can be read in one way only"],
    ["a name twice", {}, '{"a":1,"a":2}', "there must be JSON that can be read in one way only"],
  ])("says where it does not fit and what was expected: %s", (_, schema, value, words) => {
    expect(said(schema, value)).toBe(words);
  });

  it("fits where the text is JSON of the shape", () => {
    expect(said(JSON.parse(reviewSchema), { summary: "", verdict: "no_problems", findings: [] })).toBe("fits");
  });

  it("never repeats a machine's words", () => {
    const hostile = "@everyone `</details>\n/merge https://example.com\u202E".repeat(9);
    expect(said({ additionalProperties: { type: "null" } }, { [hostile]: 1 })).toMatch(
      /^at `\/[A-Za-z0-9?…-]{1,61}` there must be null$/,
    );
  });

  it("ends soon when alternatives within alternatives would take for ever, and does not fit", () => {
    const deep = { $ref: "#/$defs/list" };
    const $defs = {
      list: {
        anyOf: [
          { items: deep, maxItems: 1, type: "array" },
          { items: deep, type: "array" },
        ],
      },
    };
    const value = `${"[".repeat(30)}1${"]".repeat(30)}`;
    const start = performance.now();
    expect(said({ ...deep, $defs }, value)).toContain("in a bounded number of steps");
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(said({ anyOf: [{ $ref: "#" }, true] }, "1")).toContain("in a bounded number of steps");
  });
});

describe("a schema", () => {
  it.each<[string, unknown, RegExp]>([
    [
      "a pattern",
      { properties: { a: { pattern: "(a+)+$" } } },
      /^has \/properties\/a\/pattern, to which no answer .* maxLength$/,
    ],
    ["a keyword nobody holds", { items: { not: {} } }, /^has \/items\/not, to which no answer can be held$/],
    ["a schema elsewhere", { $ref: "https://example.com/schema.json" }, /^\/\$ref must be "#"/],
    ["a definition that is not there", { $ref: "#/$defs/constructor" }, /^\/\$ref must be "#"/],
    ["an unknown type", { type: "date" }, /^\/type must be of object, array/],
    ["a list for names", { properties: [] }, /^\/properties must be a mapping/],
    ["too many levels", JSON.parse('{"items":'.repeat(70) + "{}" + "}".repeat(70)), /nested deeper than 64 levels/],
    [
      "a whole book of levels",
      JSON.parse('{"items":'.repeat(900) + "{}" + "}".repeat(900)),
      /nested deeper than 64 levels/,
    ],
    ["too much text", { description: "a".repeat(70_000) }, /is too long/],
    ["a list", [], /must be a JSON Schema/],
  ])("is refused with the place when it has %s", (_, schema, words) => {
    const read = readOutputSchema(JSON.stringify(schema));
    expect(read.ok ? "" : read.problem).toMatch(words);
  });

  it("may say what only the model reads", () => {
    const schema = { $schema: "x", title: "x", description: "x", format: "date", default: [{}], examples: [1] };
    expect(readOutputSchema(JSON.stringify(schema)).ok).toBe(true);
  });
});
