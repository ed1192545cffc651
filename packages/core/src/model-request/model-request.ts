import { readStrictJson, type StrictJsonFault } from "../strict-json.ts";
import {
  byType,
  dropped,
  exactly,
  flag,
  forbidden,
  isRecord,
  list,
  optional,
  type Read,
  type ReadRecord,
  record,
  required,
  text,
} from "./fields.ts";
import { inputTokensOf } from "./input-tokens.ts";
import { items } from "./items.ts";
import { ModelRefusal, type ModelRefusalCode, refuse } from "./refusal.ts";
import { schema } from "./schema.ts";
import { codeOfTool, tools } from "./tools.ts";
import { name, word } from "./words.ts";

/** What the model calls of one run may be. */
export interface ModelRequestPolicy {
  /** The task's model; no other is asked. */
  readonly model: string;
  /** Stands in for the CLI's own cache key, so that one run cannot probe another's cache. */
  readonly cacheKey: string;
  /** Tokens of one answer; a whole number above 0. */
  readonly outputTokensMax: number;
  /** UTF-16 code units of the body as it came. */
  readonly inputCharsMax: number;
}

export type ModelRequestResult =
  | {
      readonly ok: true;
      /** JSON of our own making, its fields in an order of our own. */
      readonly body: string;
      /** No request can be counted as more input tokens than this. */
      readonly inputTokensMax: number;
      /** What the body sets as the most the model may answer. */
      readonly outputTokensMax: number;
    }
  | {
      readonly ok: false;
      readonly code: ModelRefusalCode;
      /** Where, in our own field names and indexes: never the request's own words. */
      readonly at: string;
    };

/** Levels of the whole body: a schema's own bound, and the eight around the deepest one. */
const DEPTH_MAX = 48;
/** Names and values of the whole body: a long conversation has some ten thousand. */
const VALUES_MAX = 400_000;

const faults: Record<StrictJsonFault, ModelRefusalCode> = {
  too_long: "BODY_TOO_LONG",
  too_deep: "BODY_TOO_DEEP",
  too_many: "BODY_TOO_MANY_VALUES",
  not_json: "BODY_NOT_JSON",
  duplicate_key: "DUPLICATE_KEY",
  forbidden_key: "FORBIDDEN_KEY",
  lone_surrogate: "BODY_NOT_TEXT",
};

/**
 * Makes a new request to the model out of one that came from a machine: nothing is sent on that is not known by name and
 * type. What is not known is refused, not dropped, so that a CLI which learns something new fails at once and with a word.
 * Rebuilding what was rebuilt changes nothing. Never throws; bound: `inputCharsMax`, linear time.
 */
export function rebuildModelRequest(body: string, policy: ModelRequestPolicy): ModelRequestResult {
  const read = readStrictJson(body, { charsMax: policy.inputCharsMax, depthMax: DEPTH_MAX, valuesMax: VALUES_MAX });
  if (!read.ok) {
    return { ok: false, code: faults[read.why], at: "body" };
  }
  try {
    const { stream, max_output_tokens: asked, ...rest } = requestOf(policy)(read.value, "");
    const outputTokensMax = Math.min(Number(asked ?? policy.outputTokensMax), policy.outputTokensMax);
    const request = {
      ...rest,
      stream,
      store: false,
      max_output_tokens: outputTokensMax,
      prompt_cache_key: policy.cacheKey,
    };
    const rebuilt = JSON.stringify(request);
    return { ok: true, body: rebuilt, inputTokensMax: inputTokensOf(request, rebuilt), outputTokensMax };
  } catch (error) {
    if (error instanceof ModelRefusal) {
      return { ok: false, code: error.code, at: error.at };
    }
    throw error;
  }
}

const reasoning = record({
  effort: optional(word),
  summary: optional(exactly("auto", "concise", "detailed", "none")),
  context: optional(exactly("auto", "current_turn", "all_turns")),
});

const jsonSchema = record({
  type: required(exactly("json_schema")),
  name: required(name),
  description: optional(text),
  strict: optional(flag),
  schema: required(schema),
});

const answer = record({
  verbosity: optional(exactly("low", "medium", "high")),
  format: optional(
    byType({
      types: { text: record({ type: required(exactly("text")) }), json_schema: jsonSchema },
      codeOf: () => "FIELD_INVALID",
    }),
  ),
});

const toolChoice: Read = (value, at) => {
  if (isRecord(value)) {
    const type = Object.hasOwn(value, "type") ? value["type"] : undefined;
    return refuse(typeof type === "string" && codeOfTool(type) === "TOOL_HOSTED" ? "TOOL_HOSTED" : "FIELD_INVALID", at);
  }
  return exactly("auto", "none", "required")(value, at);
};

const tokens: Read = (value, at) =>
  Number.isSafeInteger(value) && Number(value) > 0 ? value : refuse("FIELD_INVALID", at);

const usualTier: Read = (value, at) => (value === "auto" || value === "default" ? undefined : refuse("TIER_OTHER", at));

const notStored: Read = (value, at) => (value === false ? undefined : refuse("STORED_STATE", at));

const anyRecord: Read = (value, at) => (isRecord(value) ? undefined : refuse("FIELD_INVALID", at));

function requestOf(policy: ModelRequestPolicy): ReadRecord {
  return record({
    model: required((value, at) => (value === policy.model ? value : refuse("MODEL_OTHER", at))),
    instructions: optional(text),
    input: required(items),
    tools: optional(tools),
    tool_choice: optional(toolChoice),
    parallel_tool_calls: optional(flag),
    reasoning: optional(reasoning),
    text: optional(answer),
    include: optional(list(exactly("reasoning.encrypted_content"), { max: 1, code: "FIELD_INVALID" })),
    max_output_tokens: optional(tokens),
    // What is always the same, or ours to say, whatever was asked.
    stream: required(exactly(true)),
    store: dropped(notStored),
    prompt_cache_key: dropped(text),
    truncation: dropped(exactly("disabled")),
    service_tier: dropped(usualTier),
    background: dropped(notStored),
    // Says which machine, folder and commit the request comes from; the model answers without it.
    client_metadata: dropped(anyRecord),
    previous_response_id: forbidden("STORED_STATE"),
    conversation: forbidden("STORED_STATE"),
    prompt: forbidden("STORED_STATE"),
    safety_identifier: forbidden("CALLER_IDENTITY"),
    user: forbidden("CALLER_IDENTITY"),
  });
}
