import { request } from "node:http";
import { z } from "zod";
import { EVENTS, nowMs, requestText } from "./traffic.ts";

/** Where one stream is asked for. */
export interface StreamCall {
  readonly to: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  readonly headers: Readonly<Record<string, string>>;
}

/** What reading one stream gave. */
export interface Reading {
  readonly firstByteMs: number;
  readonly eventMs: readonly number[];
  /** Every event came once and in order, and the last one too. */
  readonly isWhole: boolean;
}

/** A stream of the bench lasts seconds; one that takes this long is stuck. */
const STREAM_MS = 30_000;

const Event = z.object({ type: z.string(), sequence_number: z.int().optional(), at: z.number().optional() });

/** Null for what is no event of the stand-in's. */
function readEvent(text: string): z.infer<typeof Event> | null {
  try {
    return Event.parse(JSON.parse(text.slice(text.indexOf("data: ") + 6)));
  } catch {
    return null;
  }
}

/** Makes one call and reads its stream to the end. Never throws: a fault makes the reading incomplete. */
export async function readStream(call: StreamCall): Promise<Reading> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const eventMs: number[] = [];
  const asked = nowMs();
  let firstByteMs = Number.NaN;
  let isInOrder = true;
  let isEnded = false;
  let rest = "";

  function take(chunk: string): void {
    const readAt = nowMs();
    if (Number.isNaN(firstByteMs)) {
      firstByteMs = readAt - asked;
    }
    const events = (rest + chunk).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      const read = readEvent(event);
      if (read === null) {
        isInOrder = false;
        continue;
      }
      const { type, sequence_number, at } = read;
      if (at !== undefined) {
        isInOrder &&= sequence_number === eventMs.length;
        eventMs.push(readAt - at);
      }
      isEnded ||= type === "response.completed";
    }
  }

  const outgoing = request({
    method: "POST",
    path: "/v1/responses",
    agent: false,
    signal: AbortSignal.timeout(STREAM_MS),
    ...call.to,
    headers: { "content-type": "application/json", "content-length": requestText.length, ...call.headers },
  });
  outgoing.once("response", (incoming) => {
    incoming.setEncoding("utf8");
    incoming.on("data", take);
    incoming.on("error", () => undefined);
    incoming.once("close", resolve);
  });
  outgoing.once("error", () => resolve());
  outgoing.end(requestText);
  await promise;
  return { firstByteMs, eventMs, isWhole: isInOrder && isEnded && eventMs.length === EVENTS };
}
