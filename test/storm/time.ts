/** How many turns of the event loop must bring nothing before it is believed that nothing is under way. */
const QUIET_TURNS = 2;
/** Far longer than everything that is at work at one moment takes, on a busy host: what takes longer never ends. */
const STILL_MS = 120_000;

/** Time that passes only while nothing is at work. */
export interface VirtualTime {
  now(): number;
  /** Calls this after so many ms; returns how to take that back. */
  after(ms: number, call: () => void): () => void;
  /** Says that something outside this process, or a step of our own, is at work until the promise settles. */
  during<T>(work: Promise<T>): Promise<T>;
  /**
   * Lets time pass until there is nothing left to wait for or `isOver` says so; looked at between moments, and at a signal,
   * also where something is at work for ever. Throws where that lasts.
   */
  run(isOver: () => Promise<boolean>, signal?: AbortSignal): Promise<void>;
}

interface Timer {
  readonly at: number;
  readonly ordinal: number;
  call: (() => void) | null;
}

/**
 * Real input and output (Redis, HTTP) takes no time here: the clock goes on to the next timer once every answer has come
 * and every promise that waited for one has had its turn.
 *
 * @param start Epoch milliseconds.
 * @param tickMs Timers go off at multiples of this, so that many go off together.
 */
export function createVirtualTime({ start, tickMs }: { start: number; tickMs: number }): VirtualTime {
  const timers = createHeap();
  let now = start;
  let atWork = 0;
  let begun = 0;

  async function quiet(signal: AbortSignal | undefined): Promise<void> {
    const since = performance.now();
    for (let turns = 0; turns < QUIET_TURNS;) {
      if (signal?.aborted === true) {
        return;
      }
      if (performance.now() > since + STILL_MS) {
        throw new Error(`time stands still at ${new Date(now).toISOString()}: ${atWork} pieces of work do not end`);
      }
      const before = begun;
      await new Promise((resolve) => setImmediate(resolve));
      turns = atWork === 0 && begun === before ? turns + 1 : 0;
    }
  }

  return {
    now: () => now,
    after(ms, call) {
      const at = Math.ceil((now + Math.max(1, ms)) / tickMs) * tickMs;
      const timer: Timer = { at, ordinal: (begun += 1), call };
      timers.push(timer);
      return () => void (timer.call = null);
    },
    async during(work) {
      begun += 1;
      atWork += 1;
      try {
        return await work;
      } finally {
        atWork -= 1;
      }
    },
    async run(isOver, signal) {
      for (;;) {
        await quiet(signal);
        const next = timers.peek();
        if (next === null || (await isOver())) {
          return;
        }
        now = Math.max(now, next.at);
        for (let due = timers.peek(); due !== null && due.at <= now; due = timers.peek()) {
          timers.pop();
          due.call?.();
        }
      }
    },
  };
}

/** The earliest timer first; of the same moment, the oldest. */
function createHeap(): { push(timer: Timer): void; peek(): Timer | null; pop(): void } {
  const heap: Timer[] = [];
  const isBefore = (a: number, b: number): boolean => {
    const [one, other] = [heap[a], heap[b]];
    return one !== undefined && other !== undefined && (one.at - other.at || one.ordinal - other.ordinal) < 0;
  };
  const swap = (a: number, b: number): void => {
    const [one, other] = [heap[a], heap[b]];
    if (one !== undefined && other !== undefined) {
      heap[a] = other;
      heap[b] = one;
    }
  };
  return {
    push(timer) {
      heap.push(timer);
      for (let at = heap.length - 1; at > 0 && isBefore(at, (at - 1) >> 1); at = (at - 1) >> 1) {
        swap(at, (at - 1) >> 1);
      }
    },
    peek: () => heap[0] ?? null,
    pop() {
      swap(0, heap.length - 1);
      heap.pop();
      for (let at = 0; ;) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        const least = isBefore(right, left) ? right : left;
        if (!isBefore(least, at)) {
          return;
        }
        swap(at, least);
        at = least;
      }
    },
  };
}
