/** What one stream of the bench is made of: the stand-in writes it, the reader checks it. */

/** As a busy fleet of fifty machines would have at most: each may make four calls at once. */
export const STREAMS = 200;
export const CALLS_PER_MACHINE = 4;
/** A model gives some tens of tokens a second. */
export const EVENTS = 60;
export const EVENT_PAUSE_MS = 50;

/** How the calls of one round come. */
export interface Load {
  readonly name: "burst" | "steady";
  /** The first calls of all streams begin spread over this time. */
  readonly spreadMs: number;
  /** How many calls each stream makes, one after another. */
  readonly calls: number;
  readonly rounds: number;
}

/**
 * First the worst: a whole fleet asks within a second, as after a restart. Then the usual: a call begins as another ends,
 * for each as long as an answer takes.
 */
export const loads: readonly Load[] = [
  { name: "burst", spreadMs: 1_000, calls: 1, rounds: 1 },
  { name: "steady", spreadMs: EVENTS * EVENT_PAUSE_MS, calls: 2, rounds: 2 },
];
/** As long as an event with a few tokens and its ids. */
const FILL = "x".repeat(120);

/** The moment, on a clock that all processes of this machine share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1_000_000;
}

export function eventText(number: number): string {
  return textOf({ type: "response.output_text.delta", sequence_number: number, at: nowMs(), delta: FILL });
}

export const lastEventText = textOf({
  type: "response.completed",
  response: { id: "resp_bench", usage: { input_tokens: 9_000, output_tokens: EVENTS, total_tokens: 9_000 + EVENTS } },
});

/** A request as large as the CLI's own. */
export const requestText = JSON.stringify({
  model: "gpt-5.5",
  input: [{ type: "message", role: "user", content: [{ type: "input_text", text: "y".repeat(40_000) }] }],
  stream: true,
  store: false,
});

function textOf(event: { readonly type: string; readonly [field: string]: unknown }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
