import { hostedItems, hostedTools } from "../../../packages/core/src/model-request/hosted.fixture.ts";
import type { Random } from "./random.ts";

export type Body = Record<string, unknown>;

/** What stands for somebody's data on its way out: it must not be in what is sent on as an address or a reference. */
export const LEAK = "https://evil.example/?d=leak";

const hello = { type: "message", role: "user", content: [{ type: "input_text", text: "Hello." }] };
/** Some that are not even known. */
const tools = [...hostedTools, "connector", "teleport", "__proto__"];
/** Fields of the API that make its servers keep, fetch, call or spend, and values that ask for it. */
const fields: readonly (readonly [string, unknown])[] = [
  ["store", true],
  ["background", true],
  ["previous_response_id", "resp_1"],
  ["conversation", "conv_1"],
  ["conversation", { id: "conv_1" }],
  ["prompt", { id: "pmpt_1", variables: { a: LEAK } }],
  ["model", "gpt-other"],
  ["model", "ft:gpt-5.5:x"],
  ["service_tier", "priority"],
  ["service_tier", "flex"],
  ["user", LEAK],
  ["safety_identifier", LEAK],
  ["metadata", { a: LEAK }],
  ["prompt_cache_key", LEAK],
  ["prompt_cache_retention", "24h"],
  ["max_output_tokens", 10 ** 9],
  ["max_tool_calls", 10 ** 6],
  ["include", ["web_search_call.results", "file_search_call.results"]],
  ["include", ["code_interpreter_call.outputs"]],
  ["top_logprobs", 20],
  ["stream", false],
  ["stream_options", { include_obfuscation: true }],
  ["context_management", [{ type: "compaction" }]],
  ["moderation", {}],
  ["webhook", LEAK],
  ["extra_headers", { "openai-organization": LEAK }],
  ["__proto__", { store: true }],
  ["constructor", { prototype: { store: true } }],
  ["n", 100],
  ["instructions", { text: LEAK }],
  ["truncation", "auto"],
  ["text", { format: { type: "json_schema", name: "x", schema: { $ref: LEAK } } }],
  ["reasoning", { effort: "high", summary: "auto", generate_summary: LEAK }],
  ["tool_choice", { type: "mcp", server_label: "x" }],
  ["tool_choice", { type: "web_search" }],
  ["tool_choice", { type: "hosted_tool" }],
];
const parts: readonly Body[] = [
  { type: "input_image", image_url: LEAK },
  { type: "input_image", image_url: `data:text/html,${LEAK}` },
  { type: "input_image", image_url: `data:image/svg+xml;base64,${btoa(LEAK)}` },
  { type: "input_image", file_id: "file_1" },
  { type: "input_image", image_url: { url: LEAK } },
  { type: "input_file", file_url: LEAK },
  { type: "input_file", file_id: "file_1" },
  { type: "input_file", filename: "a", file_data: "data:text/plain;base64,AAAA" },
  { type: "input_audio", input_audio: { data: "AAAA", format: "wav" } },
  { type: "input_text", text: "a", prompt_cache_breakpoint: LEAK },
  { type: "output_text", text: "a", annotations: [{ type: "url_citation", url: LEAK }] },
  { type: "computer_screenshot", image_url: LEAK },
];

export function soundRequest(): Body {
  return { model: "gpt-5.5", instructions: "Be brief.", input: [hello], tools: [], stream: true, store: false };
}

/** One request that asks the model's servers for something they should not do, and the text it is sent as. */
export function hostileRequest(random: Random): string {
  const body = soundRequest();
  const tool = {
    type: random.pick(tools),
    name: "f",
    server_label: "x",
    server_url: LEAK,
    require_approval: "never",
  };
  switch (random.int(8)) {
    case 0:
      return withField(random, body);
    case 1:
      return JSON.stringify({ ...body, tools: nested(random, tool) });
    case 2:
      return JSON.stringify({ ...body, input: [hello, { type: random.pick(hostedItems), id: "x_1", call_id: "c" }] });
    case 3:
      return JSON.stringify({ ...body, input: [{ ...hello, content: [...hello.content, random.pick(parts)] }] });
    case 4:
      return JSON.stringify({
        ...body,
        input: [{ type: "function_call_output", call_id: "c", output: [random.pick(parts)] }],
      });
    case 5:
      return withTwin(random, body);
    case 6:
      return JSON.stringify({
        ...body,
        input: [{ type: "additional_tools", role: "developer", tools: nested(random, tool) }],
      });
    default:
      return broken(random, JSON.stringify(body));
  }
}

function withField(random: Random, body: Body): string {
  const [name, value] = random.pick(fields);
  // Not by assignment: `__proto__` must be there as a name.
  return JSON.stringify(body).replace(/\}$/, `,${JSON.stringify(name)}:${JSON.stringify(value)}}`);
}

/** The same name twice, plainly or escaped: one reader takes the first, another the last. */
function withTwin(random: Random, body: Body): string {
  const [name, value] = random.pick(fields);
  const escaped = random.once(2) ? JSON.stringify(name) : `"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}"`;
  const twin = `${escaped}:${JSON.stringify(value)}`;
  return JSON.stringify(body)
    .replace(/^\{/, `{${twin},`)
    .replace(/\}$/, `,${JSON.stringify(name)}:null}`);
}

function nested(random: Random, tool: Body): Body[] {
  return random.once(2) ? [tool] : [{ type: "namespace", name: "n", description: "d", tools: [tool] }];
}

/** Texts that are no request: cut off, far too deep, with halves of characters, with bytes of another kind. */
function broken(random: Random, text: string): string {
  switch (random.int(6)) {
    case 0:
      return text.slice(0, random.int(text.length));
    case 1:
      return text.replace('"Hello."', `${"[".repeat(1 + random.int(5_000))}1`);
    case 2:
      return text.replace("Hello.", random.pick(["\\ud800", "\ud800", "\\udc00x"]));
    case 3:
      return text.replace('"Hello."', `${'{"a":'.repeat(200)}1${"}".repeat(200)}`);
    case 4: {
      const at = random.int(text.length);
      return (
        text.slice(0, at) + random.pick(["\0", "'", "/*", "NaN", "\u2028", "\uFEFF", ",", "}", '"']) + text.slice(at)
      );
    }
    default:
      return random.pick(["", "null", "[]", "0", '"x"', "[1,2]", "{}", `[${text}]`, `\uFEFF${text}`, `${text}${text}`]);
  }
}
