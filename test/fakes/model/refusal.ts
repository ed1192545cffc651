import { isRecord } from "./json.ts";

/** Why the API would refuse a request, and with which status. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly param: string | null;
  readonly code: string | null;
}

export type Kind = "string" | "boolean" | "integer" | "number" | "object" | "array";

// A message names the value it refuses, but not a whole prompt.
const QUOTED_CHARS_MAX = 100;

export function checkFields(
  value: Record<string, unknown>,
  fields: Record<string, Kind[]>,
  path: string,
): Refusal | null {
  for (const [name, kinds] of Object.entries(fields)) {
    const field = value[name];
    const param = path === "" ? name : `${path}.${name}`;
    if (field === undefined) {
      return refusal(`Missing required parameter: '${param}'.`, param, "missing_required_parameter");
    }
    if (!kinds.some((kind) => isKind(field, kind))) {
      return wrongType(param, kinds, field);
    }
  }
  return null;
}

export function isKind(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case "array":
      return Array.isArray(value);
    case "object":
      return isRecord(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === kind;
  }
}

export function wrongType(param: string, kinds: Kind[], value: unknown): Refusal {
  const got = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  return refusal(`Invalid type for '${param}': expected ${kinds.join(" or ")}, but got ${got}.`, param, "invalid_type");
}

export function wrongValue(param: string, value: unknown, supported: string[]): Refusal {
  const list = supported.map((each) => `'${each}'`).join(", ");
  return refusal(`Invalid value: '${quoted(value)}'. Supported values are: ${list}.`, param, "invalid_value");
}

export function quoted(value: unknown): string {
  return (typeof value === "string" ? value : (JSON.stringify(value) ?? "undefined")).slice(0, QUOTED_CHARS_MAX);
}

export function refusal(message: string, param: string | null, code: string | null, status = 400): Refusal {
  return { status, message, param, code };
}
