import type { ServerResponse } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import type { StreamEvent } from "./answer.ts";

// A paced stream is sent in slices this far apart.
const SLICE_MS = 50;

/** Writes server-sent events, at full speed or paced. Returns early if the client leaves. */
export async function sendEvents(
  outgoing: ServerResponse,
  events: StreamEvent[],
  bytesPerSecond: number | null,
): Promise<void> {
  for (const [index, event] of events.entries()) {
    const { type, ...fields } = event;
    const data = JSON.stringify({ type, sequence_number: index, ...fields });
    await send(outgoing, Buffer.from(`event: ${type}\ndata: ${data}\n\n`), bytesPerSecond);
  }
}

async function send(outgoing: ServerResponse, bytes: Buffer, bytesPerSecond: number | null): Promise<void> {
  const slice = bytesPerSecond === null ? bytes.length : Math.max(1, Math.floor((bytesPerSecond * SLICE_MS) / 1000));
  for (let start = 0; start < bytes.length; start += slice) {
    if (bytesPerSecond !== null) {
      await wait(SLICE_MS);
    }
    if (outgoing.destroyed) {
      return;
    }
    await flushed(outgoing, bytes.subarray(start, start + slice));
  }
}

/** Resolves when the bytes have left the process, or when nobody is there to take them. */
async function flushed(outgoing: ServerResponse, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      outgoing.off("close", done);
      resolve();
    };
    outgoing.once("close", done);
    outgoing.write(bytes, done);
  });
}
