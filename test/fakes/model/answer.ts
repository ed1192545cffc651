import { createHash, randomUUID } from "node:crypto";
import type { Conversation } from "./conversation.ts";
import type { Answer, Run, Usage } from "./script.ts";

/** One server-sent event; `sequence_number` is added when it is sent. */
export interface StreamEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

type Item = Record<string, unknown>;

// Codex shortens what it reports beyond 10 000 tokens, whatever it is asked for.
const REPORT_TOKENS_MAX = 10_000;
// Leaves room for the exit code in the same report, so that nothing is shortened twice.
const OUTPUT_TOKENS_MAX = 9_000;
// How long one poll of a running command may last: the longest that Codex grants a call.
const POLL_MS = 30_000;
// Enough pieces that a reader must join them, few enough to keep a stream small.
const DELTA_CHARS = 200;
const CHARS_PER_TOKEN = 4;
const THINKING_TOKENS = 64;
// Prompt caching works in blocks of this many tokens.
const CACHE_BLOCK_TOKENS = 128;

/**
 * The events of one streamed response, in the order of the API: created, in progress, the items with their pieces,
 * completed. A request that includes encrypted reasoning gets a reasoning item first, sealed with `secret`.
 */
export function answerEvents(answer: Answer, seen: Conversation, secret: string): StreamEvent[] {
  const thought = includesReasoning(seen.request) ? [reasoningItem(secret)] : [];
  const items = [...thought, seen.pending === null ? answerItem(answer, seen) : pollItem(seen.pending)];
  const response = {
    id: newId("resp"),
    object: "response",
    created_at: 0,
    model: seen.request.model,
    parallel_tool_calls: seen.request.parallel_tool_calls ?? true,
    tool_choice: seen.request.tool_choice ?? "auto",
    store: false,
    error: null,
    incomplete_details: null,
  };
  return [
    { type: "response.created", response: { ...response, status: "in_progress", output: [], usage: null } },
    { type: "response.in_progress", response: { ...response, status: "in_progress", output: [], usage: null } },
    ...items.flatMap((item, index) => itemEvents(item, index)),
    {
      type: "response.completed",
      response: {
        ...response,
        status: "completed",
        output: items,
        usage: usageOf(answer.usage, seen, items),
      },
    },
  ];
}

/** Whether this server sealed that reasoning: the API refuses what it did not write itself. */
export function isSealed(encryptedContent: unknown, secret: string): boolean {
  const [nonce = "", mark] = typeof encryptedContent === "string" ? encryptedContent.split(".") : [];
  return mark === seal(nonce, secret);
}

function includesReasoning(request: Record<string, unknown>): boolean {
  return Array.isArray(request.include) && request.include.includes("reasoning.encrypted_content");
}

function reasoningItem(secret: string): Item {
  const nonce = randomUUID().replaceAll("-", "");
  return {
    type: "reasoning",
    id: newId("rs"),
    summary: [],
    encrypted_content: `${nonce}.${seal(nonce, secret)}`,
  };
}

function seal(nonce: string, secret: string): string {
  return createHash("sha256").update(`${secret}\n${nonce}`).digest("base64url");
}

function answerItem(answer: Answer, seen: Conversation): Item {
  if (answer.kind === "say") {
    return {
      type: "message",
      id: newId("msg"),
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: answer.text, annotations: [], logprobs: [] }],
    };
  }
  return seen.shape === "code"
    ? { type: "custom_tool_call", id: newId("ctc"), call_id: newId("call"), name: "exec", input: codeFor(answer) }
    : functionCall("exec_command", {
        cmd: answer.command,
        yield_time_ms: answer.yieldTimeMs,
        max_output_tokens: OUTPUT_TOKENS_MAX,
      });
}

function codeFor(run: Run): string {
  const command = { cmd: run.command, yield_time_ms: run.yieldTimeMs, max_output_tokens: OUTPUT_TOKENS_MAX };
  return [
    `// @exec: ${JSON.stringify({ yield_time_ms: run.yieldTimeMs, max_output_tokens: REPORT_TOKENS_MAX })}`,
    `let report = await tools.exec_command(${JSON.stringify(command)});`,
    `text(report.output);`,
    `while (report.session_id !== undefined) {`,
    `  report = await tools.write_stdin({ session_id: report.session_id, max_output_tokens: ${OUTPUT_TOKENS_MAX} });`,
    `  text(report.output);`,
    `}`,
    "text(`exit code ${report.exit_code}`);",
  ].join("\n");
}

function pollItem(pending: NonNullable<Conversation["pending"]>): Item {
  return pending.tool === "wait"
    ? functionCall("wait", { cell_id: pending.cellId, yield_time_ms: POLL_MS, max_tokens: REPORT_TOKENS_MAX })
    : functionCall("write_stdin", {
        session_id: pending.sessionId,
        chars: "",
        yield_time_ms: POLL_MS,
        max_output_tokens: OUTPUT_TOKENS_MAX,
      });
}

function functionCall(name: string, args: Record<string, unknown>): Item {
  return {
    type: "function_call",
    id: newId("fc"),
    call_id: newId("call"),
    name,
    arguments: JSON.stringify(args),
    status: "completed",
  };
}

function itemEvents(item: Item, index: number): StreamEvent[] {
  const at = { output_index: index, item_id: item.id };
  return [
    { type: "response.output_item.added", output_index: index, item: { ...item, ...opened(item) } },
    ...pieceEvents(item, at),
    { type: "response.output_item.done", output_index: index, item },
  ];
}

/** What the item looks like before its content has been streamed. */
function opened(item: Item): Item {
  switch (item.type) {
    case "message":
      return { status: "in_progress", content: [] };
    case "function_call":
      return { status: "in_progress", arguments: "" };
    case "custom_tool_call":
      return { input: "" };
    default:
      return {};
  }
}

function pieceEvents(item: Item, at: Item): StreamEvent[] {
  if (item.type === "function_call") {
    return pieces("response.function_call_arguments", String(item.arguments), "arguments", at);
  }
  if (item.type === "custom_tool_call") {
    return pieces("response.custom_tool_call_input", String(item.input), "input", at);
  }
  if (item.type !== "message") {
    return [];
  }
  const [part] = item.content as [{ text: string }];
  const inPart = { ...at, content_index: 0 };
  return [
    { type: "response.content_part.added", ...inPart, part: { ...part, text: "" } },
    ...pieces("response.output_text", part.text, "text", inPart),
    { type: "response.content_part.done", ...inPart, part },
  ];
}

function pieces(type: string, text: string, field: string, at: Item): StreamEvent[] {
  const deltas: StreamEvent[] = [];
  for (let start = 0; start < text.length; start += DELTA_CHARS) {
    deltas.push({ type: `${type}.delta`, ...at, delta: text.slice(start, start + DELTA_CHARS) });
  }
  return [...deltas, { type: `${type}.done`, ...at, [field]: text }];
}

function usageOf(wanted: Usage, seen: Conversation, items: Item[]): Record<string, unknown> {
  const input = wanted.inputTokens ?? Math.ceil(JSON.stringify(seen.request).length / CHARS_PER_TOKEN);
  const repeated = seen.step === 0 ? 0 : Math.floor((input * 0.9) / CACHE_BLOCK_TOKENS) * CACHE_BLOCK_TOKENS;
  const reasoning = wanted.reasoningTokens ?? (items.length > 1 ? THINKING_TOKENS : 0);
  const output = wanted.outputTokens ?? reasoning + Math.ceil(JSON.stringify(items.at(-1)).length / CHARS_PER_TOKEN);
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: wanted.cachedInputTokens ?? repeated, cache_write_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + output,
  };
}

function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}
