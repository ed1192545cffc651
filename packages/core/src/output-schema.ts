import { limits } from "./limits.ts";
import { readStrictJson } from "./strict-json.ts";

/** A schema or `true` (anything) or `false` (nothing), made of `OutputKeywords` alone. */
export type OutputSchema = boolean | OutputKeywords;

/** The keywords that answers are held against. */
export interface OutputKeywords {
  readonly type?: string | readonly string[];
  readonly enum?: readonly Plain[];
  readonly const?: Plain;
  readonly properties?: Readonly<Record<string, OutputSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: OutputSchema;
  readonly items?: OutputSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly anyOf?: readonly OutputSchema[];
  readonly allOf?: readonly OutputSchema[];
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, OutputSchema>>;
  readonly definitions?: Readonly<Record<string, OutputSchema>>;
}

type Plain = string | number | boolean | null;

export const outputTypes = ["object", "array", "string", "number", "integer", "boolean", "null"] as const;

type Read = { readonly ok: true; readonly schema: OutputSchema } | { readonly ok: false; readonly problem: string };

/** What stands at one place of the schema; null if nothing is wrong with it. */
type Look = (value: unknown, at: Place) => string | null;

interface Place {
  /** For the reader, such as `/properties/a`; empty for the whole. */
  readonly path: string;
  readonly depth: number;
  readonly root: object;
}

const isSize: Look = (value, { path }) =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? null : `${path} must be a whole number from 0 on`;
const isNumber: Look = (value, { path }) => (Number.isFinite(value) ? null : `${path} must be a number`);
const says: Look = () => null;

/**
 * What the model's API takes and what can be checked in a bounded time. `pattern` is left out: an expression can take for
 * ever on a text that was written for it, and the text is the machine's.
 */
const keywords: Readonly<Record<string, Look>> = {
  type: (value, { path }) => {
    const types: readonly unknown[] = Array.isArray(value) ? value : [value];
    const isKnown = types.length > 0 && types.every((type) => (outputTypes as readonly unknown[]).includes(type));
    return isKnown ? null : `${path} must be of ${outputTypes.join(", ")}, or a list of them`;
  },
  enum: (value, { path }) =>
    Array.isArray(value) && value.length > 0 && value.every(isPlain)
      ? null
      : `${path} must list texts, numbers, true, false or null`,
  const: (value, { path }) => (isPlain(value) ? null : `${path} must be a text, a number, true, false or null`),
  properties: lookAtEach,
  required: (value, { path }) =>
    Array.isArray(value) && value.every((name) => typeof name === "string") ? null : `${path} must be a list of names`,
  additionalProperties: lookAt,
  items: lookAt,
  minItems: isSize,
  maxItems: isSize,
  minLength: isSize,
  maxLength: isSize,
  minimum: isNumber,
  maximum: isNumber,
  exclusiveMinimum: isNumber,
  exclusiveMaximum: isNumber,
  anyOf: lookAtList,
  allOf: lookAtList,
  $defs: lookAtEach,
  definitions: lookAtEach,
  $ref: (value, { path, root }) =>
    typeof value === "string" && targetOf(root, value) !== undefined
      ? null
      : `${path} must be "#", or "#/$defs/" or "#/definitions/" and a name that is there`,
  // They say something to the model, and hold nothing. JSON Schema 2020-12 lets `format` be one of them.
  $schema: says,
  $comment: says,
  title: says,
  description: says,
  default: says,
  examples: says,
  format: says,
};

const TOO_DEEP = `is nested deeper than ${limits.outputSchemaDepthMax} levels`;
/** A schema in `properties` or in a list is two levels of JSON below the one that has it. */
const JSON_DEPTH_MAX = 2 * limits.outputSchemaDepthMax + 2;

/**
 * Reads a task's output schema. What it cannot hold an answer to it refuses, with the place, so that nobody relies on a rule
 * that is not kept. Never throws. Bounds: limits.taskBytesMax for the text, limits.outputSchemaDepthMax.
 */
export function readOutputSchema(text: string): Read {
  const data = readStrictJson(text, { depthMax: JSON_DEPTH_MAX, charsMax: limits.taskBytesMax });
  if (!data.ok || !isObject(data.value)) {
    const faults: Partial<Record<string, string>> = { too_long: "is too long", too_deep: TOO_DEEP };
    const fault = data.ok ? undefined : faults[data.why];
    return { ok: false, problem: fault ?? "must be a JSON Schema: a YAML mapping, or a text with a JSON object" };
  }
  const root = data.value;
  const problem = lookAt(root, { path: "", depth: 0, root });
  return problem === null ? { ok: true, schema: root } : { ok: false, problem };
}

/** What a `$ref` of a schema that was read means; undefined if it is not there. Nothing is ever fetched. */
export function targetOf(root: OutputKeywords, ref: string): OutputSchema | undefined {
  if (ref === "#") {
    return root;
  }
  const found = /^#\/(\$defs|definitions)\/([A-Za-z0-9._-]+)$/.exec(ref);
  const [, group, name] = found ?? [];
  const named = group === "$defs" || group === "definitions" ? ownOf(root, group) : undefined;
  return isObject(named) && name !== undefined ? (ownOf(named, name) as OutputSchema | undefined) : undefined;
}

function lookAt(value: unknown, { path, depth, root }: Place): string | null {
  if (depth > limits.outputSchemaDepthMax) {
    return TOO_DEEP;
  }
  if (typeof value === "boolean") {
    return null;
  }
  if (!isObject(value)) {
    return `${path} must be a schema: a mapping, true or false`;
  }
  for (const [name, held] of Object.entries(value)) {
    const at = `${path}/${shown(name)}`;
    const look = Object.hasOwn(keywords, name) ? keywords[name] : undefined;
    const problem = look === undefined ? unknown(name, at) : look(held, { path: at, depth: depth + 1, root });
    if (problem !== null) {
      return problem;
    }
  }
  return null;
}

function unknown(name: string, at: string): string {
  const why = name === "pattern" || name === "patternProperties" ? " in a bounded time: use enum or maxLength" : "";
  return `has ${at}, to which no answer can be held${why}`;
}

function lookAtEach(value: unknown, { path, depth, root }: Place): string | null {
  if (!isObject(value)) {
    return `${path} must be a mapping of names to schemas`;
  }
  return firstOf(Object.entries(value), ([name, held]) =>
    lookAt(held, { path: `${path}/${shown(name)}`, depth, root }),
  );
}

function lookAtList(value: unknown, { path, depth, root }: Place): string | null {
  return Array.isArray(value) && value.length > 0
    ? firstOf([...value.entries()], ([index, held]) => lookAt(held, { path: `${path}/${index}`, depth, root }))
    : `${path} must be a list of schemas`;
}

function firstOf<Item>(items: readonly Item[], look: (item: Item) => string | null): string | null {
  for (const item of items) {
    const problem = look(item);
    if (problem !== null) {
      return problem;
    }
  }
  return null;
}

const NAME_CHARS_MAX = 60;

/** A name as it may stand in a sentence of ours, whoever chose it: letters, digits and three signs. */
export function shown(name: string): string {
  const plain = name.slice(0, NAME_CHARS_MAX).replace(/[^A-Za-z0-9_$-]/g, "?");
  return name.length > NAME_CHARS_MAX ? `${plain}…` : plain;
}

function isPlain(value: unknown): value is Plain {
  return value === null || ["string", "boolean"].includes(typeof value) || Number.isFinite(value);
}

function isObject(value: unknown): value is Record<string, unknown> & OutputKeywords {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function ownOf(object: object, name: string): unknown {
  return Object.hasOwn(object, name) ? (object as Record<string, unknown>)[name] : undefined;
}
