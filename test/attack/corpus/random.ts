/** Randomness that can be had again: the same seed gives the same attacks. */
export interface Random {
  /** An integer from 0 up to, and without, `below`. */
  int(below: number): number;
  /** True once in `times`. */
  once(times: number): boolean;
  pick<T>(values: readonly T[]): T;
  /** Between `min` and `max` picks, joined. */
  soup(pieces: readonly string[], min: number, max: number): string;
  bytes(length: number): Buffer;
}

/** sfc32 by Chris Doty-Humphrey: small, fast, and good enough to make attacks with; no secret hangs on it. */
export function createRandom(seed: number, name: string): Random {
  let [a, b, c, d] = [seed >>> 0, hash(name), 0x9e3779b9, 1];
  const next = () => {
    const sum = (a + b + d) >>> 0;
    d = (d + 1) >>> 0;
    a = (b ^ (b >>> 9)) >>> 0;
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + sum) >>> 0;
    return sum;
  };
  for (let i = 0; i < 15; i++) {
    next();
  }
  const int = (below: number) => Math.floor((next() / 0x1_0000_0000) * below);
  return {
    int,
    once: (times) => int(times) === 0,
    pick(values) {
      const value = values[int(values.length)];
      if (value === undefined && values.length === 0) {
        throw new Error("there is nothing to pick from");
      }
      return value as (typeof values)[number];
    },
    soup(pieces, min, max) {
      const count = min + int(max - min + 1);
      let text = "";
      for (let i = 0; i < count; i++) {
        text += pieces[int(pieces.length)] ?? "";
      }
      return text;
    },
    bytes(length) {
      const bytes = Buffer.alloc(length);
      for (let i = 0; i < length; i++) {
        bytes[i] = next() & 0xff;
      }
      return bytes;
    },
  };
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return value;
}
