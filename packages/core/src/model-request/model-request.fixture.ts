import { type ModelRequestPolicy, rebuildModelRequest } from "./model-request.ts";
import type { ModelRefusalCode } from "./refusal.ts";

export type Body = Record<string, unknown>;

/** What the requests of these tests may be. */
export const policy: ModelRequestPolicy = {
  model: "gpt-test",
  cacheKey: "cache-of-the-attempt",
  outputTokensMax: 1_000,
  inputCharsMax: 16 * 1024 * 1024,
};
export const PIXEL = "data:image/png;base64,iVBORw0KGgo=";
export const hello = { type: "message", role: "user", content: [{ type: "input_text", text: "hello" }] };

/** A small good request, and what a test changes in it. */
export function bodyOf(more: Body = {}): Body {
  return { model: "gpt-test", stream: true, store: false, input: [hello], ...more };
}

/** What is sent in its place, or the refusal. */
export function rebuild(more: Body, changed: Partial<ModelRequestPolicy> = {}): Body {
  const result = rebuildModelRequest(JSON.stringify(bodyOf(more)), { ...policy, ...changed });
  return result.ok ? (JSON.parse(result.body) as Body) : { ...result };
}

/** Code and place of a refusal. */
export function refusalOf(more: Body | string): [ModelRefusalCode, string] | "accepted" {
  const result = rebuildModelRequest(typeof more === "string" ? more : JSON.stringify(bodyOf(more)), policy);
  return result.ok ? "accepted" : [result.code, result.at];
}

/** A conversation of one message with this part. */
export function part(value: Body, role = "user"): Body {
  return { input: [{ type: "message", role, content: [value] }] };
}

/** A schema of that many levels. */
export function nest(levels: number): Body {
  let value: Body = {};
  for (let level = 1; level < levels; level++) {
    value = { a: value };
  }
  return value;
}
