import { type ModelRefusalCode, refuse } from "./refusal.ts";

/** Takes a part of the request and gives what is sent in its place; undefined sends nothing. Throws a refusal. */
export type Read = (value: unknown, at: string) => unknown;

/** The same for an object. */
export type ReadRecord = (value: unknown, at: string) => Record<string, unknown>;

interface Field {
  readonly read: Read;
  readonly isRequired: boolean;
}

export type Fields = Readonly<Record<string, Field>>;

export function required(read: Read): Field {
  return { read, isRequired: true };
}

/** `null` means "not given" to the API, and is not sent on. */
export function optional(read: Read): Field {
  return { read, isRequired: false };
}

/** A field that may be given and says nothing we send on. */
export function dropped(read: Read): Field {
  return optional((value, at) => {
    read(value, at);
    return undefined;
  });
}

/** A field that only ever asks for what is refused. */
export function forbidden(code: ModelRefusalCode): Field {
  return optional((_value, at) => refuse(code, at));
}

/** A new object with these fields in this order and no other. */
export function record(fields: Fields): ReadRecord {
  const known = Object.entries(fields);
  return (value, at) => {
    if (!isRecord(value)) {
      return refuse("FIELD_INVALID", at === "" ? "body" : at);
    }
    if (Object.keys(value).some((name) => !Object.hasOwn(fields, name))) {
      refuse("FIELD_UNKNOWN", at === "" ? "body" : at);
    }
    const built: Record<string, unknown> = {};
    for (const [name, { read, isRequired }] of known) {
      const place = at === "" ? name : `${at}.${name}`;
      const given = Object.hasOwn(value, name) ? value[name] : undefined;
      const isGiven = given !== undefined && given !== null;
      if (!isGiven && isRequired) {
        refuse("FIELD_MISSING", place);
      }
      const sent = isGiven ? read(given, place) : undefined;
      if (sent !== undefined) {
        built[name] = sent;
      }
    }
    return built;
  };
}

/** An object whose `type` decides what else it has. */
export function byType(options: {
  readonly types: Readonly<Record<string, Read>>;
  /** Why a type is refused that is none of these. */
  readonly codeOf: (type: string) => ModelRefusalCode;
}): Read {
  return (value, at) => {
    if (!isRecord(value)) {
      return refuse("FIELD_INVALID", at);
    }
    const type = Object.hasOwn(value, "type") ? value["type"] : undefined;
    if (typeof type !== "string") {
      return refuse(type === undefined ? "FIELD_MISSING" : "FIELD_INVALID", `${at}.type`);
    }
    const read = Object.hasOwn(options.types, type) ? options.types[type] : undefined;
    return read === undefined ? refuse(options.codeOf(type), `${at}.type`) : read(value, at);
  };
}

export function list(read: Read, bound?: { readonly max: number; readonly code: ModelRefusalCode }): Read {
  return (value, at) => {
    if (!Array.isArray(value)) {
      return refuse("FIELD_INVALID", at);
    }
    if (bound !== undefined && value.length > bound.max) {
      refuse(bound.code, at);
    }
    return value.map((entry: unknown, index) => read(entry, `${at}[${index}]`));
  };
}

/** A list that is empty wherever Codex sends it, and is not sent on. */
export const nothing: Read = (value, at) =>
  Array.isArray(value) && value.length === 0 ? undefined : refuse("FIELD_INVALID", at);

/** Text for the model to read. The body's own bound is its bound. */
export const text: Read = (value, at) => (typeof value === "string" ? value : refuse("FIELD_INVALID", at));

export const flag: Read = (value, at) => (typeof value === "boolean" ? value : refuse("FIELD_INVALID", at));

export function exactly<Value extends string | boolean>(...values: readonly Value[]): Read {
  return (value, at) => values.find((each) => each === value) ?? refuse("FIELD_INVALID", at);
}

export function matching(pattern: RegExp): Read {
  return (value, at) => (typeof value === "string" && pattern.test(value) ? value : refuse("FIELD_INVALID", at));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
