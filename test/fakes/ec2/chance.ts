/** Chance that can be repeated: the same seed and the same order of questions give the same answers. */
export interface Chance {
  /** From 0 up to, not including, 1. */
  next(): number;
  /** True this often: 0 never, 1 always. Asks nothing of the generator where the answer is certain. */
  happens(rate: number): boolean;
  /** A whole number from 0 up to, not including, `below`. */
  below(below: number): number;
  /** So many lower-case hex digits. */
  hex(digits: number): string;
  shuffled<T>(items: readonly T[]): T[];
}

/** The generator is mulberry32: 32 bits of state, good enough to scatter faults. */
export function createChance(seed: number): Chance {
  let state = Math.trunc(seed);

  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  function below(count: number): number {
    return Math.floor(next() * count);
  }

  return {
    next,
    happens: (rate) => rate >= 1 || (rate > 0 && next() < rate),
    below,
    hex: (digits) => Array.from({ length: digits }, () => below(16).toString(16)).join(""),
    shuffled(items) {
      const left = [...items];
      return items.map(() => left.splice(below(left.length), 1)).flat();
    },
  };
}
