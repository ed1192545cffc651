import { Readable } from "node:stream";
import { limits, type ModelUsage } from "@mayfly/core";
import { createUsageReader } from "./usage-reader.ts";

interface StreamOptions {
  /** Awaited before the bytes that end the answer pass on, so that a next call finds the books closed. Never throws. */
  readonly onUsage: (usage: ModelUsage) => Promise<void>;
  readonly bytesMax?: number;
  readonly idleMs?: number;
}

/**
 * The model's answer, unchanged, on its way to the machine. Ends in an error after too many bytes or too long a silence,
 * and when the model's side is cut. Nothing is read that has not been taken: a slow reader holds the model back.
 */
export function meteredStream(answer: Readable, options: StreamOptions): Readable {
  return Readable.from(metered(answer, options));
}

async function* metered(answer: Readable, options: StreamOptions): AsyncGenerator<Buffer> {
  const { onUsage, bytesMax = limits.modelResponseBytesMax, idleMs = limits.modelIdleMs } = options;
  const reader = createUsageReader();
  // A machine that takes nothing for as long ends it too: it has left without a word.
  const silence = setTimeout(() => answer.destroy(new Error("the model fell silent")), idleMs);
  let bytes = 0;
  let isCounted = false;

  async function count(usage: ModelUsage | null): Promise<void> {
    if (usage !== null && !isCounted) {
      isCounted = true;
      await onUsage(usage);
    }
  }

  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      silence.refresh();
      bytes += chunk.length;
      if (bytes > bytesMax) {
        throw new Error("the model's answer is too long");
      }
      await count(reader.push(chunk));
      yield chunk;
    }
    await count(reader.end());
  } finally {
    clearTimeout(silence);
  }
}
