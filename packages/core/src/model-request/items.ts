import { messageContent, reasoningContent, reasoningSummary, toolOutput } from "./content.ts";
import { byType, exactly, list, optional, type Read, record, required, text } from "./fields.ts";
import type { ModelRefusalCode } from "./refusal.ts";
import { tools } from "./tools.ts";
import { id, name } from "./words.ts";

/** Traces of tools the API runs itself, and stored things it would look up. */
const HOSTED =
  /^(?:web_search|file_search|code_interpreter|computer|image_generation|mcp_|connector|local_shell|shell|apply_patch|tool_search|program|item_reference|compaction|container)/;

const status = optional(exactly("in_progress", "completed", "incomplete"));

const message = record({
  type: required(exactly("message")),
  id: optional(id),
  role: required(exactly("user", "assistant", "developer", "system")),
  status,
  phase: optional(exactly("commentary", "partial_answer", "final_answer")),
  content: required(messageContent),
});

const sealedReasoning = record({
  type: required(exactly("reasoning")),
  id: optional(id),
  summary: required(reasoningSummary),
  content: optional(reasoningContent),
  encrypted_content: optional(text),
  status,
});

/** Without its sealed text a reasoning item's id is a reference to a stored one, so it stays behind. */
const reasoning: Read = (value, at) => {
  const built = sealedReasoning(value, at);
  if (built["encrypted_content"] === undefined) {
    delete built["id"];
  }
  return built;
};

const functionCall = record({
  type: required(exactly("function_call")),
  id: optional(id),
  call_id: required(id),
  namespace: optional(name),
  name: required(name),
  arguments: required(text),
  status,
});

const functionCallOutput = record({
  type: required(exactly("function_call_output")),
  id: optional(id),
  call_id: required(id),
  output: required(toolOutput),
  status,
});

const customToolCall = record({
  type: required(exactly("custom_tool_call")),
  id: optional(id),
  call_id: required(id),
  namespace: optional(name),
  name: required(name),
  input: required(text),
  status,
});

const customToolCallOutput = record({
  type: required(exactly("custom_tool_call_output")),
  id: optional(id),
  call_id: required(id),
  name: optional(name),
  output: required(toolOutput),
  status,
});

const additionalTools = record({
  type: required(exactly("additional_tools")),
  id: optional(id),
  role: required(exactly("developer")),
  tools: required(tools),
});

/** The conversation, of the items Codex itself makes. Every item says its type: one with an id alone is a reference. */
export const items: Read = list(
  byType({
    types: {
      message,
      reasoning,
      function_call: functionCall,
      function_call_output: functionCallOutput,
      custom_tool_call: customToolCall,
      custom_tool_call_output: customToolCallOutput,
      additional_tools: additionalTools,
    },
    codeOf,
  }),
);

function codeOf(type: string): ModelRefusalCode {
  return HOSTED.test(type) ? "ITEM_HOSTED" : "ITEM_UNKNOWN";
}
