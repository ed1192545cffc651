import { createHash } from "node:crypto";
import { type Chance, createChance } from "../ec2/chance.ts";

interface Kept {
  readonly id: string;
  readonly body: string;
  received: number;
  visibleAt: number;
}

interface Received {
  readonly MessageId: string;
  readonly ReceiptHandle: string;
  readonly MD5OfBody: string;
  readonly Body: string;
  readonly Attributes: { readonly ApproximateReceiveCount: string };
}

/** One standard queue: at least once, in no order. */
export interface Queue {
  put(body: string): void;
  take(count: number, visibilityMs: number): Received[];
  /** False for a handle that was never given out. */
  remove(handle: string): boolean;
  hasVisible(): boolean;
  /** Messages that are not deleted. */
  left(): number;
}

/**
 * @param options.duplicates How often a message that is handed out stays visible to others at the same time, 0 to 1.
 */
export function createQueue(options: { seed: number; clock: () => number; duplicates: number }): Queue {
  const { clock, duplicates } = options;
  const chance: Chance = createChance(options.seed);
  const messages = new Map<string, Kept>();
  const handles = new Map<string, string>();

  const visible = () => [...messages.values()].filter(({ visibleAt }) => visibleAt <= clock());

  return {
    put(body) {
      const id = `${chance.hex(8)}-${chance.hex(4)}-${chance.hex(4)}-${chance.hex(4)}-${chance.hex(12)}`;
      messages.set(id, { id, body, received: 0, visibleAt: clock() });
    },
    take(count, visibilityMs) {
      return chance
        .shuffled(visible())
        .slice(0, count)
        .map((message) => {
          const handle = chance.hex(64);
          message.received += 1;
          message.visibleAt = chance.happens(duplicates) ? clock() : clock() + visibilityMs;
          handles.set(handle, message.id);
          return {
            MessageId: message.id,
            ReceiptHandle: handle,
            MD5OfBody: createHash("md5").update(message.body).digest("hex"),
            Body: message.body,
            Attributes: { ApproximateReceiveCount: String(message.received) },
          };
        });
    },
    remove(handle) {
      const id = handles.get(handle);
      if (id !== undefined) {
        messages.delete(id);
      }
      return id !== undefined;
    },
    hasVisible: () => visible().length > 0,
    left: () => messages.size,
  };
}
