import { setTimeout as wait } from "node:timers/promises";

const OVER = Symbol("over");

/** A question's subject and its answer. */
export interface Answered<Item, Answer> {
  readonly item: Item;
  readonly answer: Answer;
}

/**
 * Asks about one thing after the other, the next as soon as an answer was of no use or has kept us waiting for
 * `patienceMs`; yields each answer when it comes. So a slow answer holds up nobody, and a quick one is all that is asked
 * for as long as whoever reads this stops there. Ends when all have answered, or after `mostMs`. What is left unanswered
 * goes on by itself. Throws what a question throws.
 */
export async function* asAnswered<Item, Answer>(options: {
  readonly items: readonly Item[];
  readonly ask: (item: Item) => Promise<Answer>;
  readonly patienceMs: number;
  readonly mostMs: number;
  /** Told of what has kept us waiting. */
  readonly onSlow?: (item: Item) => void;
}): AsyncGenerator<Answered<Item, Answer>> {
  const { items, ask, patienceMs, mostMs, onSlow } = options;
  const open = new Set<Item>();
  const come: (() => Answered<Item, Answer>)[] = [];
  let something = Promise.withResolvers<null>();
  const over = new AbortController();
  const end = pause(mostMs, over.signal).then(() => OVER);

  async function begin(item: Item): Promise<void> {
    open.add(item);
    try {
      const answer = await ask(item);
      come.push(() => ({ item, answer }));
    } catch (error) {
      come.push(() => {
        throw error;
      });
    }
    open.delete(item);
    something.resolve(null);
  }

  function take(): Answered<Item, Answer>[] {
    something = Promise.withResolvers();
    return come.splice(0).map((answered) => answered());
  }

  try {
    for (const item of items) {
      void begin(item);
      const patience = new AbortController();
      const what = await Promise.race([something.promise, pause(patienceMs, patience.signal), end]);
      patience.abort();
      yield* take();
      if (what === OVER) {
        return;
      }
      if (open.has(item)) {
        onSlow?.(item);
      }
    }
    while (open.size > 0) {
      const what = await Promise.race([something.promise, end]);
      yield* take();
      if (what === OVER) {
        return;
      }
    }
  } finally {
    over.abort();
  }
}

/** Null after so long, or as soon as it is of no more use. */
function pause(ms: number, signal: AbortSignal): Promise<null> {
  return wait(ms, null, { signal, ref: false }).catch(() => null);
}
