/** Why a text was not read. */
export type StrictJsonFault =
  | "too_long"
  | "too_deep"
  | "too_many"
  | "not_json"
  | "duplicate_key"
  | "forbidden_key"
  | "lone_surrogate";

export type StrictJsonResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly why: StrictJsonFault };

export interface StrictJsonBounds {
  /** Levels of objects and lists; 0 allows neither. */
  readonly depthMax: number;
  /** UTF-16 code units of the whole text. */
  readonly charsMax: number;
  /** Names and values in all, counted by the signs between them: bounds the memory that short values take. */
  readonly valuesMax?: number;
}

/**
 * The only name that means something else when it is assigned than when it is parsed. `constructor` and `prototype`
 * stay ordinary names: whoever reads a field here looks for own ones.
 */
const FORBIDDEN_KEY = "__proto__";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Reads JSON that means the same to every reader: no name twice in one object (however it is escaped), no `__proto__`,
 * no half of a surrogate pair. Bounds are checked before anything is built. Never throws, never calls itself; time is
 * linear in the text's length.
 */
export function readStrictJson(text: string, bounds: StrictJsonBounds): StrictJsonResult {
  if (text.length > bounds.charsMax) {
    return { ok: false, why: "too_long" };
  }
  const tooMuch = measure(text, bounds);
  if (tooMuch !== null) {
    return { ok: false, why: tooMuch };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, why: "not_json" };
  }
  const why = inspect(text);
  return why === null ? { ok: true, value } : { ok: false, why };
}

/** Depth and number of values, also of a text that is no JSON: then the parser says so, or the bound did first. */
function measure(text: string, { depthMax, valuesMax }: StrictJsonBounds): StrictJsonFault | null {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        depth++;
        values++;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth--;
        break;
      case COMMA:
      case COLON:
        values++;
        break;
    }
    if (depth > depthMax) {
      return "too_deep";
    }
    if (valuesMax !== undefined && values > valuesMax) {
      return "too_many";
    }
  }
  return null;
}

/** What is wrong with a text that is known to be JSON. */
function inspect(text: string): StrictJsonFault | null {
  if (!text.isWellFormed()) {
    return "lone_surrogate";
  }
  // The names of every open object; null stands for a list.
  const open: (Set<string> | null)[] = [];
  let isName = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        const why = inspectString(text.slice(at, end + 1), isName ? open.at(-1) : null);
        if (why !== null) {
          return why;
        }
        isName = false;
        at = end;
        break;
      }
      case OPEN_OBJECT:
        open.push(new Set());
        isName = true;
        break;
      case OPEN_LIST:
        open.push(null);
        isName = false;
        break;
      case CLOSE_OBJECT:
      case CLOSE_LIST:
        open.pop();
        isName = false;
        break;
      case COMMA:
        isName = open.at(-1) !== null;
        break;
    }
  }
  return null;
}

/** @param names Those its object has so far, if the string is a name. */
function inspectString(quoted: string, names: Set<string> | null | undefined): StrictJsonFault | null {
  const hasCodes = quoted.includes("\\u");
  if (!hasCodes && (names === null || names === undefined)) {
    return null;
  }
  const value = quoted.includes("\\") ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
  if (hasCodes && !value.isWellFormed()) {
    return "lone_surrogate";
  }
  if (names === null || names === undefined) {
    return null;
  }
  // The engine's parser (V8 as of Node 24.21.0) reads a name of one character that is written with an escape as a
  // backslash, if it has seen that name before: such a name cannot be trusted to be what it says.
  if (value === FORBIDDEN_KEY || (value.length === 1 && quoted.includes("\\"))) {
    return "forbidden_key";
  }
  if (names.has(value)) {
    return "duplicate_key";
  }
  names.add(value);
  return null;
}

/** Where the string that opens at `start` closes; the text's end if it does not. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (text.charCodeAt(before - 1) === BACKSLASH) {
      before--;
    }
    if ((end - before) % 2 === 0) {
      return end;
    }
  }
  return text.length;
}
