import { isRecord, type Read } from "./fields.ts";
import { refuse } from "./refusal.ts";

/** Levels: a schema that a person or a program wrote has a dozen. */
const DEPTH_MAX = 32;
/** Names and values of one schema. */
const VALUES_MAX = 10_000;
/** UTF-16 code units of all its names and texts: descriptions of tools are the longest, at some thousands. */
const CHARS_MAX = 256 * 1024;

/** Names under which a schema says where another one is. */
const REFERENCES = new Set(["$ref", "$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor"]);
/** A version of the language itself: every reader knows these without fetching them. */
const DIALECT = /^https?:\/\/json-schema\.org\/draft[a-z0-9/-]{1,20}\/schema#?$/;

interface Measure {
  values: number;
  chars: number;
}

/**
 * A JSON Schema, as it came: any names, but bounded, and without a reference that leads out of it. It has been parsed by
 * `readStrictJson`, so it holds nothing but data.
 */
export const schema: Read = (value, at) => {
  if (!isRecord(value)) {
    return refuse("FIELD_INVALID", at);
  }
  walk(value, { at, depth: 1, measure: { values: 0, chars: 0 } });
  return value;
};

function walk(value: unknown, place: { at: string; depth: number; measure: Measure }): void {
  const { at, depth, measure } = place;
  measure.values++;
  if (typeof value === "string") {
    measure.chars += value.length;
  }
  if (depth > DEPTH_MAX || measure.values > VALUES_MAX || measure.chars > CHARS_MAX) {
    refuse("SCHEMA_TOO_BIG", at);
  }
  if (typeof value === "number" && !Number.isFinite(value)) {
    refuse("FIELD_INVALID", at);
  }
  if (Array.isArray(value)) {
    for (const entry of value) {
      walk(entry, { ...place, depth: depth + 1 });
    }
  } else if (isRecord(value)) {
    for (const [key, entry] of Object.entries(value)) {
      measure.chars += key.length;
      if (typeof entry === "string" && leadsOut(key, entry)) {
        refuse("URL_REFERENCE", at);
      }
      walk(entry, { ...place, depth: depth + 1 });
    }
  }
}

function leadsOut(key: string, value: string): boolean {
  if (key === "$schema") {
    return !DIALECT.test(value);
  }
  // An anchor is a bare name; nothing that names a scheme, a host or a file is.
  return REFERENCES.has(key) && !value.startsWith("#") && !/^[A-Za-z_][A-Za-z0-9_-]*$/.test(value);
}
