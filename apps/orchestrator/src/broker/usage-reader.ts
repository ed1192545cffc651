import { ModelUsage } from "@mayfly/core";
import { z } from "zod";
import { readJsonBytes } from "./json-bytes.ts";

/** Looks on while an answer's bytes pass, and keeps no more of them than the event that is just coming. */
export interface UsageReader {
  /** Takes the next bytes of the answer, cut anywhere. Returns what the final event said, once it is in. Never throws. */
  push(chunk: Uint8Array): ModelUsage | null;
  /** After the last byte: the same; null if there was no final event that can be read. */
  end(): ModelUsage | null;
}

/**
 * The final event repeats all that was said and the request's instructions and tools: 128,000 tokens of output come to
 * less than 1 MiB, escaping included. A longer event passes like any other, and its usage counts as missing.
 */
const EVENT_BYTES_MAX = 4 * 1024 * 1024;

/** What it repeats of the request is at most as deep as a request may be, and has as many values. */
const EVENT_BOUNDS = { depthMax: 64, valuesMax: 500_000 } as const;

const LF = 0x0a;
const CR = 0x0d;
const DATA = Buffer.from("data:");
const SPACE = 0x20;
const BYTE_ORDER_MARK = Buffer.from("\u{feff}");

/** The events that end an answer and say what it took. */
const finalEvents = ["response.completed", "response.incomplete", "response.failed"] as const;

const FinalEvent = z.object({ type: z.enum(finalEvents), response: z.object({ usage: ModelUsage }) });

/**
 * Finds the usage in a stream of server-sent events (lines end in LF, CR or CRLF, an event in an empty line). An event
 * that is no JSON, has another shape or is longer than `eventBytesMax` is passed over.
 */
export function createUsageReader(options: { eventBytesMax?: number } = {}): UsageReader {
  const { eventBytesMax = EVENT_BYTES_MAX } = options;
  let usage: ModelUsage | null = null;
  let isFirstLine = true;
  let endedInCr = false;
  const line = createPile(eventBytesMax);
  const data = createPile(eventBytesMax);

  function endEvent(): void {
    // The first one counts: an answer has one end.
    const event = data.take();
    usage ??= event === null ? null : usageIn(event);
  }

  function endLine(): void {
    const bytes = withoutMark(line.take(), isFirstLine);
    isFirstLine = false;
    if (bytes === null) {
      data.spoil();
    } else if (bytes.length === 0) {
      endEvent();
    } else if (startsWith(bytes, DATA)) {
      data.add(bytes.subarray(bytes[DATA.length] === SPACE ? DATA.length + 1 : DATA.length));
    }
  }

  return {
    push(chunk) {
      let start = 0;
      let lf = chunk.indexOf(LF);
      let cr = chunk.indexOf(CR);
      while (lf !== -1 || cr !== -1) {
        const isCr = lf === -1 || (cr !== -1 && cr < lf);
        const at = isCr ? cr : lf;
        // The second half of CRLF ends no line of its own.
        if (isCr || at > start || !endedInCr) {
          line.add(chunk.subarray(start, at));
          endLine();
        }
        endedInCr = isCr;
        start = at + 1;
        if (isCr) {
          cr = chunk.indexOf(CR, start);
        } else {
          lf = chunk.indexOf(LF, start);
        }
      }
      if (start < chunk.length) {
        endedInCr = false;
        line.add(chunk.subarray(start));
      }
      return usage;
    },
    end() {
      endLine();
      endEvent();
      return usage;
    },
  };
}

/** Bytes put one after another, up to a bound; more of them spoil the pile until it is taken. */
interface Pile {
  add(bytes: Uint8Array): void;
  spoil(): void;
  /** What was put in since the last time, good until the next `add`; null if it was too much. */
  take(): Buffer | null;
}

/** Room that a pile keeps between two events; most are smaller. */
const PILE_BYTES = 4 * 1024;

function createPile(bytesMax: number): Pile {
  // Copied, since many small pieces kept one by one take far more room than their bytes.
  let room = Buffer.alloc(0);
  let size = 0;
  let isSpoilt = false;

  function makeRoom(wanted: number): void {
    if (wanted > room.length) {
      const larger = Buffer.alloc(Math.max(wanted, PILE_BYTES, Math.min(room.length * 2, bytesMax)));
      room.copy(larger, 0, 0, size);
      room = larger;
    }
  }

  return {
    add(bytes) {
      if (size + bytes.length > bytesMax) {
        this.spoil();
      } else if (!isSpoilt) {
        makeRoom(size + bytes.length);
        room.set(bytes, size);
        size += bytes.length;
      }
    },
    spoil() {
      isSpoilt = true;
      room = Buffer.alloc(0);
      size = 0;
    },
    take() {
      const taken = isSpoilt ? null : room.subarray(0, size);
      if (room.length > PILE_BYTES) {
        room = Buffer.alloc(0);
      }
      size = 0;
      isSpoilt = false;
      return taken;
    },
  };
}

function startsWith(bytes: Buffer, start: Buffer): boolean {
  return bytes.length >= start.length && bytes.compare(start, 0, start.length, 0, start.length) === 0;
}

function withoutMark(bytes: Buffer | null, isFirstLine: boolean): Buffer | null {
  const isMarked = isFirstLine && bytes !== null && startsWith(bytes, BYTE_ORDER_MARK);
  return isMarked ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;
}

/** Most events are pieces of text: only those that can be final are parsed. */
function usageIn(event: Buffer): ModelUsage | null {
  if (!finalEvents.some((type) => event.includes(type))) {
    return null;
  }
  const parsed = FinalEvent.safeParse(readJsonBytes(event, { ...EVENT_BOUNDS, charsMax: event.length }));
  return parsed.success ? parsed.data.response.usage : null;
}
