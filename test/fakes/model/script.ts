import type { Conversation } from "./conversation.ts";

/** Token counts of one answer. What is left out is estimated from the lengths of request and answer. */
export interface Usage {
  inputTokens?: number;
  cachedInputTokens?: number;
  outputTokens?: number;
  reasoningTokens?: number;
}

/** The model's final message. Ends the conversation. */
export interface Say {
  readonly kind: "say";
  readonly text: string;
  readonly usage: Usage;
}

/** A shell command for Codex, sent through whichever tool shape the request offers. */
export interface Run {
  readonly kind: "run";
  readonly command: string;
  /** How long Codex waits for the command before it reports back that it is still running. */
  readonly yieldTimeMs: number;
  readonly usage: Usage;
}

/** A turn chosen from what the conversation holds so far. */
export interface Decide {
  readonly kind: "decide";
  readonly choose: (seen: Conversation) => Turn | Turn[];
}

/** An HTTP error instead of a stream. */
export interface Fail {
  readonly kind: "fail";
  readonly status: number;
  readonly body: unknown;
  readonly headers: Record<string, string>;
  readonly times: number;
}

/** The next turn's stream is opened, and nothing follows the first `afterEvents` events. */
export interface Stall {
  readonly kind: "stall";
  readonly afterEvents: number;
  readonly times: number;
}

/** The request is read, and not one byte is answered. */
export interface StallBeforeFirstByte {
  readonly kind: "stall-before-first-byte";
  readonly times: number;
}

/** The next turn's stream is opened, and the connection destroyed after `afterEvents` events. */
export interface Cut {
  readonly kind: "cut";
  readonly afterEvents: number;
  readonly times: number;
}

/** Every stream from here on is paced. */
export interface Slow {
  readonly kind: "slow";
  readonly bytesPerSecond: number;
}

export type Answer = Say | Run;
export type Fault = Fail | Stall | StallBeforeFirstByte | Cut;
export type Turn = Answer | Decide | Fault | Slow;

/**
 * Either all turns in order, or a function asked at every request for the turn to take there.
 * Faults and paces stand before the answer they concern.
 */
export type Script = Turn[] | ((seen: Conversation) => Turn | Turn[]);

/** What happens at one request: the answer that is due, what disturbs it first, and how fast it flows. */
export interface Step {
  readonly answer: Answer | null;
  readonly faults: Fault[];
  readonly bytesPerSecond: number | null;
}

// The CLI's own default for a command that has not ended yet.
const YIELD_TIME_MS = 10_000;
// A script that hands out scripts for ever is a bug in a test.
const NESTED_DECISIONS_MAX = 10;

export function say(text: string, options: { usage?: Usage } = {}): Say {
  return { kind: "say", text, usage: options.usage ?? {} };
}

export function run(command: string, options: { yieldTimeMs?: number; usage?: Usage } = {}): Run {
  return {
    kind: "run",
    command,
    yieldTimeMs: options.yieldTimeMs ?? YIELD_TIME_MS,
    usage: options.usage ?? {},
  };
}

export function decide(choose: Decide["choose"]): Decide {
  return { kind: "decide", choose };
}

/**
 * Without `body` the error has the API's own shape for that status.
 * Without `times` every try meets it, as with the other faults.
 */
export function fail(options: {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
  times?: number;
}): Fail {
  return {
    kind: "fail",
    status: options.status,
    body: options.body ?? defaultErrorBody(options.status),
    headers: options.headers ?? {},
    times: options.times ?? Infinity,
  };
}

export function stall(options: { afterEvents?: number; times?: number } = {}): Stall {
  return { kind: "stall", afterEvents: options.afterEvents ?? 1, times: options.times ?? Infinity };
}

export function stallBeforeFirstByte(options: { times?: number } = {}): StallBeforeFirstByte {
  return { kind: "stall-before-first-byte", times: options.times ?? Infinity };
}

export function cut(options: { afterEvents?: number; times?: number } = {}): Cut {
  return { kind: "cut", afterEvents: options.afterEvents ?? 1, times: options.times ?? Infinity };
}

export function slow(options: { bytesPerSecond: number }): Slow {
  return { kind: "slow", bytesPerSecond: options.bytesPerSecond };
}

/** The step of a script that a conversation has reached: one answer lies behind it for each command output it holds. */
export function stepOf(script: Script, seen: Conversation): Step {
  const start = { answer: null, faults: [], bytesPerSecond: null };
  return typeof script === "function"
    ? nextStep([decide(script)], 0, seen, start, 0)
    : nextStep(script, seen.step, seen, start, 0);
}

function nextStep(turns: Turn[], skip: number, seen: Conversation, start: Step, depth: number): Step {
  if (depth > NESTED_DECISIONS_MAX) {
    throw new Error("a script decided on deciding too often");
  }
  let { faults, bytesPerSecond } = start;
  let skipped = 0;
  for (const turn of turns) {
    if (turn.kind === "slow") {
      bytesPerSecond = turn.bytesPerSecond;
    } else if (turn.kind !== "say" && turn.kind !== "run" && turn.kind !== "decide") {
      faults = [...faults, turn];
    } else if (skipped < skip) {
      skipped += 1;
      faults = [];
    } else if (turn.kind === "decide") {
      const chosen = [turn.choose(seen)].flat();
      return nextStep(chosen, 0, seen, { answer: null, faults, bytesPerSecond }, depth + 1);
    } else {
      return { answer: turn, faults, bytesPerSecond };
    }
  }
  return { answer: null, faults: skipped < skip ? [] : faults, bytesPerSecond };
}

function defaultErrorBody(status: number): unknown {
  const known: Record<number, { message: string; type: string; code: string | null }> = {
    401: { message: "Incorrect API key provided.", type: "invalid_request_error", code: "invalid_api_key" },
    429: { message: "Rate limit reached.", type: "requests", code: "rate_limit_exceeded" },
    500: { message: "The server had an error while processing your request.", type: "server_error", code: null },
    503: { message: "The model is overloaded.", type: "server_error", code: "server_is_overloaded" },
  };
  const error = known[status] ?? { message: `Status ${status}.`, type: "invalid_request_error", code: null };
  return { error: { ...error, param: null } };
}
