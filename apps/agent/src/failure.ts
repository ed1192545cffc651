import type { AgentFailure } from "@mayfly/core/protocol";

// The protocol's bound on a failure's message, with room for an ellipsis.
const MESSAGE_CHARS_MAX = 1_990;

/** The attempt cannot go on: the step it broke at, and what a person should know. */
export class StepFailure extends Error {
  readonly step: AgentFailure["step"];

  constructor(step: AgentFailure["step"], message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "StepFailure";
    this.step = step;
  }
}

/** Runs one step; whatever it throws becomes that step's failure. */
export async function inStep<T>(step: AgentFailure["step"], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StepFailure ? error : new StepFailure(step, messageOf(error), { cause: error });
  }
}

/** The failure as it is sent; something unforeseen counts against `codex`, where most can go wrong. */
export function describeFailure(error: unknown): AgentFailure {
  const step = error instanceof StepFailure ? error.step : "codex";
  return { step, message: shorten(messageOf(error), MESSAGE_CHARS_MAX) };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** At most `charsMax` UTF-16 units, the last of them an ellipsis if something was cut. */
export function shorten(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax - 1).toWellFormed()}…`;
}
