import type { IncomingHttpHeaders } from "node:http";
import { checkItems, checkTools } from "./item-check.ts";
import { recordsIn } from "./json.ts";
import { checkFields, isKind, quoted, refusal, wrongType } from "./refusal.ts";
import type { Kind, Refusal } from "./refusal.ts";

interface SentRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown> | null;
}

/** The parameters of `POST /v1/responses` (openai SDK 7.57.0), and `client_metadata`, which Codex sends beside them. */
const parameters: Record<string, Kind[]> = {
  access_programs: ["array", "object"],
  background: ["boolean"],
  client_metadata: ["object"],
  context_management: ["array"],
  conversation: ["string", "object"],
  image: ["object"],
  include: ["array"],
  input: ["string", "array"],
  instructions: ["string"],
  max_output_tokens: ["integer"],
  max_tool_calls: ["integer"],
  metadata: ["object"],
  model: ["string"],
  moderation: ["object"],
  parallel_tool_calls: ["boolean"],
  previous_response_id: ["string"],
  prompt: ["object"],
  prompt_cache_key: ["string"],
  prompt_cache_options: ["object"],
  prompt_cache_retention: ["string"],
  reasoning: ["object"],
  safety_identifier: ["string"],
  service_tier: ["string"],
  store: ["boolean"],
  stream: ["boolean"],
  stream_options: ["object"],
  temperature: ["number"],
  text: ["object"],
  tool_choice: ["string", "object"],
  tools: ["array"],
  top_logprobs: ["integer"],
  top_p: ["number"],
  truncation: ["string"],
  user: ["string"],
};

/** How a caller proves that it may ask, and what the server seals reasoning with. */
export interface Access {
  readonly isGood: (key: string) => boolean;
  /** In lower case. */
  readonly header: string;
  /** Stands before the key, with its space. */
  readonly prefix: string;
  readonly sealSecret: string;
}

const PATH = "/v1/responses";
// A long conversation with a few images.
export const BODY_BYTES_MAX = 32 * 1024 * 1024;
/**
 * What the API would object to in this request; null if it would take it. `text` is null for a body that is too long.
 * Stricter in three ways: no other path, only streams, and only the items and tools that Codex uses.
 */
export function refusalOf(sent: SentRequest, text: string | null, access: Access): Refusal | null {
  if (sent.path !== PATH) {
    return refusal(`Invalid URL (${quoted(sent.method)} ${quoted(sent.path)})`, null, null, 404);
  }
  if (sent.method !== "POST") {
    return refusal(`Not allowed to ${sent.method} on ${PATH}.`, null, null, 405);
  }
  if (!isLetIn(sent.headers, access)) {
    return refusal("Incorrect API key provided.", null, "invalid_api_key", 401);
  }
  if (text === null) {
    return refusal(`Body larger than ${BODY_BYTES_MAX} bytes.`, null, null, 413);
  }
  if (!/^application\/json\b/.test(sent.headers["content-type"] ?? "")) {
    return refusal("Unsupported content type: expected 'application/json'.", null, null, 415);
  }
  if (sent.body === null) {
    return refusal("We could not parse the JSON body of your request.", null, null);
  }
  const streams = sent.body.stream === true;
  const unstreamed = refusal("This stand-in only streams: 'stream' must be true.", "stream", null);
  return checkRequest(sent.body, access.sealSecret) ?? (streams ? null : unstreamed);
}

/** A key in the one header that this server looks at, and in no other. */
function isLetIn(headers: IncomingHttpHeaders, { isGood, header, prefix }: Access): boolean {
  const shown = headers[header];
  const isAlone = header === "authorization" || headers.authorization === undefined;
  return isAlone && typeof shown === "string" && shown.startsWith(prefix) && isGood(shown.slice(prefix.length));
}

/** The same for the body alone. `secret` is what reasoning was sealed with. */
function checkRequest(body: Record<string, unknown>, secret: string): Refusal | null {
  const unknown = Object.keys(body).find((name) => !Object.hasOwn(parameters, name));
  if (unknown !== undefined) {
    return refusal(`Unknown parameter: '${quoted(unknown)}'.`, unknown, "unknown_parameter");
  }
  return (
    checkFields(body, { model: ["string"], input: ["string", "array"] }, "") ??
    checkKinds(body) ??
    checkTools(body.tools, "tools") ??
    checkItems(body.input, secret) ??
    checkCalls(recordsIn(body.input))
  );
}

function checkKinds(body: Record<string, unknown>): Refusal | null {
  for (const [name, kinds] of Object.entries(parameters)) {
    const value = body[name];
    // The API takes null for "not given" wherever it is not the model or the input.
    if (value !== undefined && value !== null && !kinds.some((kind) => isKind(value, kind))) {
      return wrongType(name, kinds, value);
    }
  }
  return null;
}

/** Every output follows its call, and every call has its output. */
function checkCalls(input: Record<string, unknown>[]): Refusal | null {
  const open = new Map<unknown, string>();
  for (const item of input) {
    if (item.type === "function_call" || item.type === "custom_tool_call") {
      open.set(item.call_id, item.type);
    }
    if (item.type === "function_call_output" || item.type === "custom_tool_call_output") {
      const call = open.get(item.call_id);
      const kind = item.type === "function_call_output" ? "function" : "custom tool";
      if (call === undefined || `${call}_output` !== item.type) {
        const id = quoted(item.call_id);
        return refusal(`No tool call found for ${kind} call output with call_id ${id}.`, "input", null);
      }
      open.delete(item.call_id);
    }
  }
  const [unanswered] = open.keys();
  return unanswered === undefined
    ? null
    : refusal(`No tool output found for function call ${quoted(unanswered)}.`, "input", null);
}
