/**
 * What a call of SQS may carry, read from the schemas that the SDK exports: a structure is a tuple of names in fifth place
 * and what each is in sixth, the required ones first; an operation has its input in fifth place.
 */
import * as sdk from "@aws-sdk/client-sqs";

const OPERATION = 9;
const LIST = 1;
/** Added to a plain value's number, it stands for a list of such values. */
const PLAIN_LIST = 64;
const plainKinds = new Map([
  [0, "string"],
  [1, "number"],
  [2, "boolean"],
]);

/** What is wrong with a call's body by the service model; null if nothing is, or what is no operation: `unknown`. */
export function complaintAbout(action: string, body: Record<string, unknown>): string | null {
  const operation = /^[A-Za-z]{1,60}$/.test(action) ? (sdk as Record<string, unknown>)[`${action}$`] : undefined;
  if (!Array.isArray(operation) || operation[0] !== OPERATION) {
    return "unknown";
  }
  const input = dereferenced(operation[4]) as readonly unknown[];
  const names = input[4] as readonly string[];
  const references = input[5] as readonly unknown[];
  const required = names.slice(0, (input[6] as number | undefined) ?? 0);
  const missing = required.find((name) => body[name] === undefined);
  const foreign = Object.keys(body).find((name) => !names.includes(name));
  const wrong = Object.entries(body).find(([name, value]) => !fits(references[names.indexOf(name)], value));
  if (missing !== undefined || foreign !== undefined) {
    return missing === undefined ? `${String(foreign)} is no member` : `${missing} is missing`;
  }
  return wrong === undefined ? null : `${wrong[0]} is of another type`;
}

function fits(reference: unknown, value: unknown): boolean {
  const target = dereferenced(unwrapped(reference));
  if (Array.isArray(target)) {
    return target[0] === LIST ? Array.isArray(value) : typeof value === "object" && value !== null;
  }
  if (typeof target === "number" && target >= PLAIN_LIST && plainKinds.has(target - PLAIN_LIST)) {
    return Array.isArray(value) && value.every((item) => typeof item === plainKinds.get(target - PLAIN_LIST));
  }
  return typeof target !== "number" || !plainKinds.has(target) || typeof value === plainKinds.get(target);
}

/** Without its own traits: a pair of a reference and traits has no text in second place, a schema has. */
function unwrapped(reference: unknown): unknown {
  return Array.isArray(reference) && typeof reference[1] !== "string" ? reference[0] : reference;
}

function dereferenced(reference: unknown): unknown {
  return typeof reference === "function" ? (reference as () => unknown)() : reference;
}
