/** Code points that hide, reorder or command, as ranges written down by hand: the product finds them by Unicode's property names. */
const HIDING: readonly (readonly [number, number])[] = [
  [0x00, 0x08],
  [0x0b, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad],
  [0x34f, 0x34f],
  [0x600, 0x605],
  [0x61c, 0x61c],
  [0x6dd, 0x6dd],
  [0x70f, 0x70f],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0x3164, 0x3164],
  [0xd800, 0xf8ff],
  [0xfdd0, 0xfdef],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xfffb],
  [0xfffe, 0xffff],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  // What ends each plane is no character.
  ...Array.from(
    { length: 14 },
    (_, plane) => [(plane + 1) * 0x10000 + 0xfffe, (plane + 1) * 0x10000 + 0xffff] as const,
  ),
  [0xe0000, 0xe0fff],
  [0xf0000, 0x10ffff],
];

/** All of them, lowest first. */
export function* hidingCodePoints(): Generator<number> {
  for (const [from, to] of HIDING) {
    for (let code = from; code <= to; code++) {
      yield code;
    }
  }
}

/** The first of them in the text, or null. Lone surrogates count. */
export function findHiding(text: string): number | null {
  for (let at = 0; at < text.length; at++) {
    const code = text.codePointAt(at) ?? 0;
    if (isHiding(code)) {
      return code;
    }
    at += code > 0xffff ? 1 : 0;
  }
  return null;
}

function isHiding(code: number): boolean {
  return HIDING.some(([from, to]) => code >= from && code <= to);
}
