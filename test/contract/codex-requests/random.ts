/** Random numbers that a seed repeats. */
export interface Random {
  /** A whole number from 0 to below `count`. */
  below(count: number): number;
  pick<Value>(values: readonly [Value, ...Value[]]): Value;
  /** Any of these, or undefined where there are none. */
  pickAny<Value>(values: readonly Value[]): Value | undefined;
}

/** A xorshift generator: good enough to choose places, and the same everywhere. */
export function createRandom(seed: number): Random {
  let state = (seed ^ 0x9e37_79b9) | 1;
  const below = (count: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
  return {
    below,
    pick: (values) => values[below(values.length)] ?? values[0],
    pickAny: (values) => (values.length === 0 ? undefined : values[below(values.length)]),
  };
}
