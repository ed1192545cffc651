import { createHash } from "node:crypto";
import type { Conversation } from "./conversation.ts";
import { recordsIn } from "./json.ts";
import type { Fault, Step } from "./script.ts";

/** Counts how often each conversation has come to each of its steps: the only thing kept between requests. */
export interface Tries {
  /** The fault that this try meets: each is met `times` times before the next, and then comes the answer. */
  dueFault(step: Step, seen: Conversation): Fault | null;
}

export function createTries(): Tries {
  const counts = new Map<string, number>();
  return { dueFault };

  function dueFault(step: Step, seen: Conversation): Fault | null {
    const key = `${conversationKey(seen.request)} ${seen.step}`;
    const tried = counts.get(key) ?? 0;
    counts.set(key, tried + 1);
    let until = 0;
    for (const fault of step.faults) {
      until += fault.times;
      if (tried < until) {
        return fault;
      }
    }
    return null;
  }
}

/** The same for every try of one conversation, however far it got: the cache key, and what precedes the first command. */
function conversationKey(request: Record<string, unknown>): string {
  const items = recordsIn(request.input);
  const opening = items.slice(
    0,
    items.findLastIndex((item) => item.role === "user"),
  );
  return createHash("sha256")
    .update(JSON.stringify([request.prompt_cache_key ?? null, opening, items[opening.length] ?? request.input]))
    .digest("base64url");
}
