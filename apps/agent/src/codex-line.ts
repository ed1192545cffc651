import { assertNever } from "@mayfly/core/assert";
import type { Usage } from "@mayfly/core/result";
import { z } from "zod";

/** Cuts a byte stream into lines, however it arrives. */
export interface LineSplitter {
  readonly write: (chunk: Buffer) => void;
  /** Hands over what is left without a line end. */
  readonly end: () => void;
}

/** Keeps at most `bytesMax` of a line; the rest of it is counted and gone. */
export function createLineSplitter(options: {
  bytesMax: number;
  onLine: (line: string, bytesCut: number) => void;
}): LineSplitter {
  const { bytesMax, onLine } = options;
  let parts: Buffer[] = [];
  let kept = 0;
  let cut = 0;

  function add(piece: Buffer): void {
    const taken = piece.subarray(0, bytesMax - kept);
    if (taken.length > 0) {
      parts.push(taken);
    }
    kept += taken.length;
    cut += piece.length - taken.length;
  }

  function flush(): void {
    if (kept > 0) {
      onLine(Buffer.concat(parts).toString("utf8"), cut);
    }
    parts = [];
    kept = 0;
    cut = 0;
  }

  function write(chunk: Buffer): void {
    let from = 0;
    for (let to = chunk.indexOf("\n"); to !== -1; to = chunk.indexOf("\n", from)) {
      add(chunk.subarray(from, to));
      flush();
      from = to + 1;
    }
    add(chunk.subarray(from));
  }

  return { write, end: flush };
}

// Shorter than this, a cut text tells nothing.
const TEXT_CHARS_MIN = 64;

/**
 * The line with at most `charsMax` UTF-16 units. One that is longer keeps its shape, with its long texts cut, so that it
 * can still be read as an event; if that does not help it is simply cut off.
 */
export function shortenLine(line: string, charsMax: number): string {
  if (line.length <= charsMax) {
    return line.toWellFormed();
  }
  const value = parseJson(line);
  if (value === undefined) {
    return line.slice(0, charsMax).toWellFormed();
  }
  for (let textMax = charsMax / 2; textMax >= TEXT_CHARS_MIN; textMax /= 2) {
    const shortened = JSON.stringify(value, (_key, item: unknown) => shortenText(item, Math.floor(textMax)));
    if (shortened.length <= charsMax) {
      return shortened;
    }
  }
  return line.slice(0, charsMax).toWellFormed();
}

function shortenText(item: unknown, charsMax: number): unknown {
  if (typeof item !== "string" || item.length <= charsMax) {
    return item;
  }
  // A command's output says what it came to at its end, and what it was about at its beginning.
  const half = Math.floor(charsMax / 2);
  const middle = `\n[… ${item.length - 2 * half} characters cut …]\n`;
  return `${item.slice(0, half).toWellFormed()}${middle}${item.slice(-half).toWellFormed()}`;
}

/** What the attempt itself wants to know of the CLI's events; all others pass through unread. */
export type Telling =
  | { readonly type: "usage"; readonly usage: Usage }
  | { readonly type: "error"; readonly message: string };

const Count = z.int().min(0).catch(0);
// Usage counts over the whole thread, so the last one is the sum.
const Told = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("turn.completed"),
    usage: z.object({
      input_tokens: Count,
      cached_input_tokens: Count,
      output_tokens: Count,
      reasoning_output_tokens: Count,
    }),
  }),
  z.object({ type: z.literal("turn.failed"), error: z.object({ message: z.string() }) }),
  z.object({ type: z.literal("error"), message: z.string() }),
]);

/** Reads one line of `codex exec --json`; null when it tells us nothing. */
export function readTelling(line: string): Telling | null {
  const read = Told.safeParse(parseJson(line));
  if (!read.success) {
    return null;
  }
  switch (read.data.type) {
    case "turn.completed":
      return { type: "usage", usage: read.data.usage };
    case "turn.failed":
      return { type: "error", message: read.data.error.message };
    case "error":
      return { type: "error", message: read.data.message };
    default:
      return assertNever(read.data);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
