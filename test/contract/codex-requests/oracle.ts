/**
 * What a rebuilt request may hold, written down as paths and without a line of the code that rebuilds: `[]` is any entry
 * of a list, and what stands below `parameters` and `schema` is free.
 */
const item = "input[]";
const tool = (path: string): string[] =>
  ["type", "name", "description", "strict", "format.type", "format.syntax", "format.definition"].map(
    (field) => `${path}.${field}`,
  );
const part = (path: string): string[] =>
  ["type", "text", "image_url", "detail", "refusal"].map((field) => `${path}[].${field}`);

const ALLOWED = new Set([
  "model",
  "instructions",
  "tool_choice",
  "parallel_tool_calls",
  "reasoning.effort",
  "reasoning.summary",
  "reasoning.context",
  "text.verbosity",
  "text.format.type",
  "text.format.name",
  "text.format.description",
  "text.format.strict",
  "include[]",
  "stream",
  "store",
  "max_output_tokens",
  "prompt_cache_key",
  ...["type", "id", "role", "status", "phase", "call_id", "namespace", "name", "arguments", "input", "output"].map(
    (field) => `${item}.${field}`,
  ),
  `${item}.encrypted_content`,
  ...part(`${item}.content`),
  ...part(`${item}.summary`),
  ...part(`${item}.output`),
  ...["tools[]", `${item}.tools[]`].flatMap((path) => [...tool(path), ...tool(`${path}.tools[]`)]),
]);

const TYPES: Record<string, readonly string[]> = {
  tools: ["function", "custom", "namespace"],
  format: ["text", "grammar", "json_schema"],
  input: [
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "additional_tools",
  ],
  content: ["input_text", "input_image", "output_text", "refusal", "reasoning_text"],
  summary: ["summary_text"],
  output: ["input_text", "input_image"],
};

/** Fields whose value the model's provider would follow. */
const FOLLOWED = new Set(["image_url"]);
/** The same in a schema, where every other name is the schema's own. */
const FOLLOWED_IN_SCHEMA = new Set(["$ref", "$dynamicRef", "$recursiveRef", "$id"]);
const SCHEME = /^\s*(?:[a-z][a-z0-9+.-]*:)?\/\//i;

/** Everything in a rebuilt body that should not be there, in words; empty for a good one. */
export function objectionsTo(
  body: string,
  policy: { model: string; cacheKey: string; outputTokensMax: number },
): string[] {
  const request = JSON.parse(body) as Record<string, unknown>;
  const objections: string[] = [];
  const fixed = { model: policy.model, stream: true, store: false, prompt_cache_key: policy.cacheKey };
  for (const [name, value] of Object.entries(fixed)) {
    if (request[name] !== value) {
      objections.push(`${name} is not ${String(value)}`);
    }
  }
  const tokens = request["max_output_tokens"];
  if (!Number.isInteger(tokens) || Number(tokens) < 1 || Number(tokens) > policy.outputTokensMax) {
    objections.push("max_output_tokens is out of bounds");
  }
  examine({ value: request, path: "", names: [] }, objections);
  return objections;
}

interface Place {
  readonly value: unknown;
  readonly path: string;
  /** The field names on the way, without lists. */
  readonly names: readonly string[];
}

function examine({ value, path, names }: Place, objections: string[]): void {
  const name = names.at(-1) ?? "";
  const isFree = names.includes("parameters") || names.includes("schema");
  if (typeof value === "object" && value !== null) {
    for (const [key, entry] of Object.entries(value)) {
      if (["__proto__", "file_id", "file_url", "server_url", "previous_response_id"].includes(key) && !isFree) {
        objections.push(`${path} has ${key}`);
      }
      const at = Array.isArray(value) ? `${path}[]` : path === "" ? key : `${path}.${key}`;
      examine({ value: entry, path: at, names: Array.isArray(value) ? names : [...names, key] }, objections);
    }
    return;
  }
  if (!isFree && !ALLOWED.has(path)) {
    objections.push(`${path} is not on the list`);
  }
  if (typeof value === "string" && (isFree ? FOLLOWED_IN_SCHEMA : FOLLOWED).has(name) && SCHEME.test(value)) {
    objections.push(`${path} leads to ${value}`);
  }
  if (name === "image_url" && !isFree && !/^data:image\/(png|jpeg|gif|webp);base64,/.test(String(value))) {
    objections.push(`${path} is no image`);
  }
  if (name === "type" && !isFree && TYPES[names.at(-2) ?? ""]?.includes(String(value)) !== true) {
    objections.push(`${path} is ${String(value)}`);
  }
}
