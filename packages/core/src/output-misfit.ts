import { limits } from "./limits.ts";
import { type OutputKeywords, type OutputSchema, readOutputSchema, shown, targetOf } from "./output-schema.ts";
import type { Result } from "./result.ts";
import { readStrictJson, type StrictJsonResult } from "./strict-json.ts";

/** Why an answer is not what its task's schema asks for. Both parts are our own words and names made plain. */
export interface Misfit {
  /** Where in the answer, such as `/findings/0/line`; empty for all of it. */
  readonly path: string;
  /** Follows "there must be". */
  readonly expected: string;
}

/** Deeper answers are no data that a person reads, and each level indents every line within it. */
const DEPTH_MAX = 32;
/** Names and values: each takes a line of its own once it is laid out. */
const VALUES_MAX = 20_000;
/** Names shown of a path: an answer is no deeper, but nobody reads more. */
const PATH_NAMES_MAX = 10;
/** A call for a schema within a call: each takes two frames of the engine's stack, which holds some 10,000. */
const CALLS_DEEP_MAX = 500;
/** Text that is looked through at the price of one step. */
const CHARS_A_STEP = 100;

/** Structured output as data, if it can be read in one way only. Never throws. Bound: limits.structuredBytesMax. */
export function readStructured(text: string): StrictJsonResult {
  return readStrictJson(text, {
    depthMax: DEPTH_MAX,
    charsMax: limits.structuredBytesMax,
    valuesMax: VALUES_MAX,
  });
}

/**
 * Why the answer does not fit the task's schema; null if it does, or if one of the two is not there. Never throws. Bound:
 * limits.outputFitStepsMax; an answer that takes more does not fit.
 */
export function structuredMisfit(schemaText: string | null, said: Result["structured"] | undefined): Misfit | null {
  if (schemaText === null || said?.state !== "present") {
    return null;
  }
  const read = readOutputSchema(schemaText);
  if (!read.ok) {
    return { path: "", expected: "a schema that answers can be held to, and the task's is none" };
  }
  const data = readStructured(said.text);
  return data.ok
    ? outputMisfit(read.schema, data.value)
    : { path: "", expected: "JSON that can be read in one way only" };
}

/** The first thing in strict JSON that a schema which was read does not allow; null if there is none. As above. */
export function outputMisfit(schema: OutputSchema, value: unknown): Misfit | null {
  const root = typeof schema === "boolean" ? {} : schema;
  const steps = { left: limits.outputFitStepsMax };
  const problem = hold(schema, value, { root, path: [], calls: 0, steps });
  return steps.left < 0 ? TOO_MUCH : problem;
}

/** A misfit as a sentence part, for a person. */
export function sayMisfit({ path, expected }: Misfit): string {
  return path === "" ? `there must be ${expected}` : `at \`${path}\` there must be ${expected}`;
}

const TOO_MUCH: Misfit = {
  path: "",
  expected: "an answer that can be held to the schema in a bounded number of steps",
};

interface Where {
  readonly root: OutputKeywords;
  readonly path: readonly (string | number)[];
  readonly calls: number;
  /** Shared by all: alternatives within alternatives can take exponentially many. */
  readonly steps: { left: number };
}

function hold(schema: OutputSchema, value: unknown, where: Where): Misfit | null {
  const { steps, calls } = where;
  steps.left = calls > CALLS_DEEP_MAX ? -1 : steps.left - 1 - costOf(schema, value);
  // No keyword turns a misfit into a fit, so once the steps are used up nothing fits any more.
  if (steps.left < 0) {
    return TOO_MUCH;
  }
  if (typeof schema === "boolean") {
    return schema ? null : misfit(where, "nothing");
  }
  return (
    holdReferences(schema, value, where) ??
    holdValue(schema, value, where) ??
    (typeof value === "string" ? holdText(schema, value, where) : null) ??
    (typeof value === "number" ? holdNumber(schema, value, where) : null) ??
    (Array.isArray(value) ? holdList(schema, value, where) : null) ??
    (typeof value === "object" && value !== null && !Array.isArray(value)
      ? holdObject(schema, value as Record<string, unknown>, where)
      : null)
  );
}

function costOf(schema: OutputSchema, value: unknown): number {
  if (typeof schema === "boolean") {
    return 0;
  }
  const text = typeof value === "string" ? value.length / CHARS_A_STEP : 0;
  return text + (schema.enum?.length ?? 0) + (schema.required?.length ?? 0);
}

function holdReferences(schema: OutputKeywords, value: unknown, where: Where): Misfit | null {
  const { $ref, allOf = [], anyOf } = schema;
  const within = { ...where, calls: where.calls + 1 };
  const target = $ref === undefined ? true : (targetOf(where.root, $ref) ?? false);
  for (const each of [target, ...allOf]) {
    const problem = hold(each, value, within);
    if (problem !== null) {
      return problem;
    }
  }
  return anyOf === undefined || anyOf.some((each) => hold(each, value, within) === null)
    ? null
    : misfit(where, `one of the ${anyOf.length} shapes that the schema names`);
}

function holdValue({ type, enum: values, const: only }: OutputKeywords, value: unknown, where: Where): Misfit | null {
  const types = type === undefined ? [] : [type].flat();
  if (types.length > 0 && !types.some((one) => isOfType(value, one))) {
    return misfit(where, types.map((one) => nouns[one] ?? "nothing").join(" or "));
  }
  if (values !== undefined && !values.some((one) => one === value)) {
    return misfit(where, `one of the ${values.length} values that the schema names`);
  }
  return only === undefined || only === value ? null : misfit(where, "the one value that the schema names");
}

const nouns: Readonly<Record<string, string>> = {
  object: "an object",
  array: "a list",
  string: "a text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  null: "null",
};

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    case "number":
      return Number.isFinite(value);
    case "null":
      return value === null;
    default:
      return typeof value === type;
  }
}

/** JSON Schema counts characters, not the engine's units. */
function holdText({ minLength = 0, maxLength = Infinity }: OutputKeywords, value: string, where: Where): Misfit | null {
  const length = minLength === 0 && maxLength === Infinity ? 0 : Array.from(value).length;
  return holdBetween(length, { least: minLength, most: maxLength, of: "characters" }, where);
}

function holdNumber(schema: OutputKeywords, value: number, where: Where): Misfit | null {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  if (minimum !== undefined && value < minimum) {
    return misfit(where, `a number of ${minimum} or more`);
  }
  if (maximum !== undefined && value > maximum) {
    return misfit(where, `a number of ${maximum} or less`);
  }
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) {
    return misfit(where, `a number above ${exclusiveMinimum}`);
  }
  return exclusiveMaximum !== undefined && value >= exclusiveMaximum
    ? misfit(where, `a number below ${exclusiveMaximum}`)
    : null;
}

function holdList(schema: OutputKeywords, value: readonly unknown[], where: Where): Misfit | null {
  const { minItems = 0, maxItems = Infinity, items } = schema;
  const size = holdBetween(value.length, { least: minItems, most: maxItems, of: "items" }, where);
  if (size !== null || items === undefined) {
    return size;
  }
  for (const [index, item] of value.entries()) {
    const problem = hold(items, item, below(where, index));
    if (problem !== null) {
      return problem;
    }
  }
  return null;
}

function holdObject(schema: OutputKeywords, value: Record<string, unknown>, where: Where): Misfit | null {
  const { properties = {}, required = [], additionalProperties = true } = schema;
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) {
    return misfit(below(where, missing), "a value");
  }
  for (const [name, held] of Object.entries(value)) {
    const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const problem = hold(own ?? additionalProperties, held, below(where, name));
    if (problem !== null) {
      return problem;
    }
  }
  return null;
}

function holdBetween(
  size: number,
  { least, most, of }: { readonly least: number; readonly most: number; readonly of: string },
  where: Where,
): Misfit | null {
  if (size < least) {
    return misfit(where, `at least ${least} ${of}, and there are ${size}`);
  }
  return size > most ? misfit(where, `at most ${most} ${of}, and there are ${size}`) : null;
}

function below(where: Where, name: string | number): Where {
  return { ...where, path: [...where.path, name], calls: where.calls + 1 };
}

function misfit({ path }: Where, expected: string): Misfit {
  const names = path.slice(0, PATH_NAMES_MAX).map((name) => `/${shown(String(name))}`);
  return { path: `${names.join("")}${path.length > PATH_NAMES_MAX ? "/…" : ""}`, expected };
}
