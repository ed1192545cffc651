import { createRandom, type Random } from "./random.ts";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** One body to try, as text: some of the changes cannot be said in a parsed value. */
interface MutatedRequest {
  readonly text: string;
  /** What was done to it, for the message of a failure. */
  readonly changes: readonly string[];
}

/** Names that mean something to the API, to JavaScript or to a careless reader. */
const NAMES = [
  "previous_response_id",
  "conversation",
  "prompt",
  "background",
  "store",
  "metadata",
  "service_tier",
  "safety_identifier",
  "user",
  "context_management",
  "max_tool_calls",
  "tools",
  "server_url",
  "connector_id",
  "container",
  "environment",
  "file_id",
  "file_ids",
  "file_url",
  "file_data",
  "image_url",
  "annotations",
  "logprobs",
  "vector_store_ids",
  "defer_loading",
  "allowed_callers",
  "output_schema",
  "$ref",
  "$id",
  "$schema",
  "id",
  "type",
  "role",
  "Model",
  "model ",
  "mod\u0435l",
  "model\u0000",
  "ｍodel",
  "constructor",
  "prototype",
  "hasOwnProperty",
  "toString",
  "__proto__",
  "",
] as const;

const URLS = [
  "https://example.com/leak",
  "http://example.com/leak",
  "HTTPS://example.com/leak",
  " https://example.com/leak",
  "//example.com/leak",
  "ftp://example.com/leak",
  "file:///etc/passwd",
  "data:text/html;base64,AAAA",
  "data:image/svg+xml;base64,AAAA",
  "data:image/png,https://example.com",
  "data:image/png;base64,AAAA",
  "DATA:image/png;base64,AAAA",
] as const;

const TYPES = [
  "web_search",
  "web_search_preview",
  "file_search",
  "code_interpreter",
  "computer_use_preview",
  "image_generation",
  "mcp",
  "local_shell",
  "shell",
  "apply_patch",
  "tool_search",
  "namespace",
  "function",
  "custom",
  "message",
  "item_reference",
  "web_search_call",
  "file_search_call",
  "mcp_call",
  "mcp_list_tools",
  "mcp_approval_response",
  "code_interpreter_call",
  "image_generation_call",
  "computer_call_output",
  "compaction",
  "input_file",
  "input_audio",
  "input_image",
  "input_text",
  "output_text",
  "refusal",
  "json_schema",
] as const;

/** Whole parts that would be worth something to an attacker. */
const PARTS: readonly [Json, ...Json[]] = [
  { type: "mcp", server_label: "a", server_url: "https://example.com", require_approval: "never" },
  { type: "web_search" },
  { type: "code_interpreter", container: { type: "auto", file_ids: ["file_1"] } },
  { type: "namespace", name: "a", tools: [{ type: "mcp", server_label: "a", server_url: "https://example.com" }] },
  { type: "namespace", name: "a", tools: [{ type: "namespace", name: "b", tools: [] }] },
  { type: "function", name: "f", parameters: { $ref: "https://example.com/schema" } },
  { type: "item_reference", id: "msg_1" },
  { id: "msg_1" },
  { type: "message", role: "user", content: [{ type: "input_image", image_url: "https://example.com/a.png" }] },
  { type: "message", role: "user", content: [{ type: "input_image", file_id: "file_1" }] },
  { type: "message", role: "user", content: [{ type: "input_file", file_url: "https://example.com/a" }] },
  { type: "message", role: "user", content: "plain" },
  { type: "input_image", image_url: "https://example.com/a.png" },
  { type: "input_image", image_url: "data:image/png;base64,iVBORw0KGgo=", detail: "high" },
  {
    type: "function_call_output",
    call_id: "c",
    output: [{ type: "input_image", image_url: "https://example.com/a.png" }],
  },
  { type: "computer_call_output", call_id: "c", output: { type: "computer_screenshot", image_url: "https://a.b" } },
  { type: "json_schema", name: "a", schema: { $id: "https://example.com", type: "object" } },
];

const CHANGES: readonly [Change, ...Change[]] = [
  add,
  add,
  rename,
  replace,
  replace,
  retype,
  remove,
  repeat,
  insert,
  wrap,
];

type Change = (holder: Holder, random: Random) => string;
type Holder = Json[] | { [name: string]: Json };

/**
 * Recorded bodies with one to three changes each, at places and of kinds that the seed decides. The same seed gives the
 * same bodies.
 */
export function* mutateRequests(options: {
  /** Recorded bodies. */
  readonly bodies: readonly string[];
  readonly seed: number;
  readonly cases: number;
}): Generator<MutatedRequest> {
  const random = createRandom(options.seed);
  for (let index = 0; index < options.cases; index++) {
    const root = JSON.parse(random.pickAny(options.bodies) ?? "{}") as Json;
    const changes: string[] = [];
    for (let left = 1 + random.below(3); left > 0; left--) {
      const holder = random.pickAny(holdersIn(root));
      changes.push(holder === undefined ? "nothing" : random.pick(CHANGES)(holder, random));
    }
    const text = JSON.stringify(root);
    yield random.below(5) === 0 ? mangle(text, changes, random) : { text, changes };
  }
}

function holdersIn(root: Json): Holder[] {
  const found: Holder[] = [];
  const open: Json[] = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value === "object" && value !== null) {
      found.push(value);
      open.push(...Object.values(value));
    }
  }
  return found;
}

function put(holder: Holder, name: string, value: Json): void {
  if (Array.isArray(holder)) {
    holder.push(value);
  } else {
    // Assigning would set the prototype where the name asks for it.
    Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true });
  }
}

function valueFrom(random: Random): Json {
  const values: readonly [Json, ...Json[]] = [null, true, false, 0, -1, 1e308, 16, "", "a", "\ud800", "\u2028", [], {}];
  return random.pick<Json>([
    random.pick(values),
    random.pick(URLS),
    random.pick(TYPES),
    structuredClone(random.pick(PARTS)),
    "long ".repeat(1 + random.below(50)),
  ]);
}

function add(holder: Holder, random: Random): string {
  const name = random.pick(NAMES);
  put(holder, name, valueFrom(random));
  return `add ${name}`;
}

function rename(holder: Holder, random: Random): string {
  const from = random.pickAny(Object.keys(holder));
  if (from === undefined || Array.isArray(holder)) {
    return add(holder, random);
  }
  const to = random.pick(NAMES);
  const value = holder[from] ?? null;
  delete holder[from];
  put(holder, to, value);
  return `rename ${from} to ${to}`;
}

function replace(holder: Holder, random: Random): string {
  const name = random.pickAny(Object.keys(holder));
  if (name === undefined) {
    return add(holder, random);
  }
  (holder as Record<string, Json>)[name] = valueFrom(random);
  return `replace ${name}`;
}

function retype(holder: Holder, random: Random): string {
  const type = random.pick(TYPES);
  put(holder, "type", type);
  return `type ${type}`;
}

function remove(holder: Holder, random: Random): string {
  const name = random.pickAny(Object.keys(holder)) ?? "nothing";
  delete (holder as Record<string, Json>)[name];
  return `remove ${name}`;
}

function repeat(holder: Holder, random: Random): string {
  put(holder, random.pick(NAMES), structuredClone(random.pickAny(Object.values(holder)) ?? null));
  return "repeat a value";
}

function insert(holder: Holder, random: Random): string {
  put(holder, random.pick(NAMES), structuredClone(random.pick(PARTS)));
  return "insert a part";
}

function wrap(holder: Holder, random: Random): string {
  const name = random.pickAny(Object.keys(holder));
  if (name === undefined) {
    return add(holder, random);
  }
  let value = (holder as Record<string, Json>)[name] ?? null;
  const levels = random.pick([1, 2, 40, 200]);
  for (let level = 0; level < levels; level++) {
    value = random.below(2) === 0 ? [value] : { a: value };
  }
  (holder as Record<string, Json>)[name] = value;
  return `wrap ${name} ${levels} times`;
}

/** Changes to the text itself: names twice, escaped names, signs out of place. */
function mangle(text: string, changes: readonly string[], random: Random): MutatedRequest {
  const twice = random.pick([
    "model",
    "store",
    "tools",
    "input",
    "st\\u006fre",
    "mod\\u0065l",
    "__proto__",
    "\\u005f_proto__",
  ]);
  const extra = random.pick(["true", "[]", "null", '"gpt-other"', '[{"type":"web_search"}]', "1e999"]);
  const at = random.below(text.length);
  const sign = random.pick(['"', "{", "}", "[", ",", "\\", "\u0000"]);
  const [kind, mangled] = random.pick<readonly [string, string]>([
    [`put ${twice} first`, `{"${twice}":${extra},${text.slice(1)}`],
    [`put ${twice} last`, `${text.slice(0, -1)},"${twice}":${extra}}`],
    ["put a sign anywhere", `${text.slice(0, at)}${sign}${text.slice(at)}`],
    ["cut", text.slice(0, at)],
    ["put a mark first", `\ufeff${text}`],
    ["escape underscores", text.replaceAll("_", "\\u005f")],
  ]);
  return { text: mangled, changes: [...changes, kind] };
}
