import { setTimeout as sleep } from "node:timers/promises";
import { limits } from "@mayfly/core/limits";
import { EventsTaken } from "@mayfly/core/protocol";
import type { AgentEvent, EventBatch } from "@mayfly/core/protocol";
import { ChannelError } from "./channel-error.ts";
import type { Channel } from "./channel.ts";

/** Events that wait to be taken, numbered from 0 without gaps. */
export interface EventBuffer {
  /** Adds one. When the buffer is full the event is dropped, and a note says later how many were. */
  readonly push: (event: AgentEvent) => void;
  /** The next batch to send, the same one until `taken` moves on; null when all is taken. */
  batch(): EventBatch | null;
  /** Forgets all before `next`. A number that makes no sense changes nothing. */
  taken(next: number): void;
}

// Several minutes of a talkative run; the service was away for longer than that only when all is lost anyway.
const BUFFERED_MAX = 2_000;
const BUFFERED_BYTES_MAX = 8 * 1024 * 1024;
// The frame around the events of a batch.
const FRAME_BYTES = 64;

export function createEventBuffer(): EventBuffer {
  const waiting: { event: AgentEvent; bytes: number }[] = [];
  let first = 0;
  let bytes = 0;
  let dropped = 0;

  function push(event: AgentEvent): void {
    const size = Buffer.byteLength(JSON.stringify(event)) + 1;
    if (waiting.length >= BUFFERED_MAX || bytes + size > BUFFERED_BYTES_MAX) {
      dropped += 1;
      return;
    }
    if (dropped > 0) {
      const text = `${dropped} events were dropped: the service did not take them in time`;
      dropped = 0;
      push({ type: "note", text });
      push(event);
      return;
    }
    waiting.push({ event, bytes: size });
    bytes += size;
  }

  function batch(): EventBatch | null {
    const events: AgentEvent[] = [];
    let size = FRAME_BYTES;
    for (const { event, bytes: eventBytes } of waiting.slice(0, limits.eventBatchMax)) {
      size += eventBytes;
      if (size > limits.eventBatchBytesMax && events.length > 0) {
        break;
      }
      events.push(event);
    }
    return events.length === 0 ? null : { first, events };
  }

  function taken(next: number): void {
    if (next > first && next <= first + waiting.length) {
      for (const { bytes: eventBytes } of waiting.splice(0, next - first)) {
        bytes -= eventBytes;
      }
      first = next;
    }
  }

  return { push, batch, taken };
}

/** Sends events in the background. */
export interface EventSender {
  readonly push: (event: AgentEvent) => void;
  /** Sends what is left, for at most `patienceMs`, and stops. Never throws: events are worth less than the result. */
  finish(patienceMs: number): Promise<void>;
}

// Few calls, and still live for whoever watches.
const PAUSE_MS = 300;
const TRY_MS = 10_000;

export function createEventSender(channel: Channel, capability: string): EventSender {
  const buffer = createEventBuffer();
  const finishing = Promise.withResolvers<void>();
  const given = new AbortController();
  let isFinishing = false;
  const sending = send();

  async function send(): Promise<void> {
    while (!given.signal.aborted) {
      const batch = buffer.batch();
      if (batch !== null) {
        const isTaken = await sendOnce(batch);
        if (!isTaken) {
          return;
        }
      } else if (isFinishing) {
        return;
      }
      if (!isFinishing) {
        await Promise.race([sleep(PAUSE_MS), finishing.promise]);
      }
    }
  }

  /** False once the broker will take no more. */
  async function sendOnce(body: EventBatch): Promise<boolean> {
    try {
      const { signal } = given;
      const call = { method: "POST", path: "/v1/events", token: capability, body, timeoutMs: TRY_MS, signal } as const;
      const answer = await channel.call(call);
      buffer.taken(EventsTaken.parse(answer.body).next);
      return true;
    } catch (error) {
      return error instanceof ChannelError && error.kind === "unreachable";
    }
  }

  async function finish(patienceMs: number): Promise<void> {
    isFinishing = true;
    finishing.resolve();
    const timer = setTimeout(() => given.abort(), patienceMs);
    await sending;
    clearTimeout(timer);
  }

  return { push: buffer.push, finish };
}
