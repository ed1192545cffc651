import { byType, exactly, flag, list, optional, type Read, record, required, text } from "./fields.ts";
import type { ModelRefusalCode } from "./refusal.ts";
import { schema } from "./schema.ts";
import { name } from "./words.ts";

/** Codex offers a dozen, and connected programs may add some. */
const TOOLS_MAX = 256;

/** Kinds that the API runs itself, or that ask the client for something Codex does through functions of its own. */
const HOSTED =
  /^(?:web_search|file_search|code_interpreter|computer|image_generation|mcp|connector|local_shell|shell|apply_patch|tool_search|programmatic_tool_calling)/;

const grammar = record({
  type: required(exactly("grammar")),
  syntax: required(exactly("lark", "regex")),
  definition: required(text),
});

const format = byType({
  types: { text: record({ type: required(exactly("text")) }), grammar },
  codeOf: () => "FIELD_INVALID",
});

const functionTool = record({
  type: required(exactly("function")),
  name: required(name),
  description: optional(text),
  strict: optional(flag),
  parameters: optional(schema),
});

const customTool = record({
  type: required(exactly("custom")),
  name: required(name),
  description: optional(text),
  format: optional(format),
});

const plainTools = { function: functionTool, custom: customTool };
const plainTool = byType({ types: plainTools, codeOf: codeOfTool });

const namespace = record({
  type: required(exactly("namespace")),
  name: required(name),
  description: optional(text),
  tools: required(list(plainTool, { max: TOOLS_MAX, code: "TOOLS_TOO_MANY" })),
});

/** Tools that the CLI itself carries out: functions, tools with free-form input, and namespaces of these. */
export const tools: Read = list(byType({ types: { ...plainTools, namespace }, codeOf: codeOfTool }), {
  max: TOOLS_MAX,
  code: "TOOLS_TOO_MANY",
});

/** Why a tool of that kind may not be offered. */
export function codeOfTool(type: string): ModelRefusalCode {
  return HOSTED.test(type) ? "TOOL_HOSTED" : "TOOL_UNKNOWN";
}
