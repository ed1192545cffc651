import { createReadStream } from "node:fs";

/** Something that must not be found. */
export interface Secret {
  readonly name: string;
  readonly value: string;
}

/** A secret that was found after all: which, in what form, and how often. */
export interface Finding {
  readonly name: string;
  readonly form: string;
  readonly count: number;
}

interface Needle {
  readonly name: string;
  readonly form: string;
  readonly bytes: Buffer;
}

/** A leak may have lost its beginning: log filters know secrets by `sk-` and the like. */
const PREFIX_CHARS = 7;
/** So much of a secret is a find. Long enough that chance finds none. */
const PIECE_CHARS = 24;
/** A longer secret is looked for in pieces this far apart, so that half of one is found as well. */
const STRIDE_CHARS = 64;
const CHUNK_BYTES = 4 * 1024 * 1024;
/**
 * The first two bytes of every needle are looked up in a table, and the first three in a larger one that no cache holds,
 * so that the number of needles costs nothing.
 */
const PAIRS = 0x10000;
const TRIPLES = 0x100_0000;

/** Made once: it is looked at for every hundredth byte. */
const none: readonly Needle[] = [];

/**
 * Looks for pieces of secrets in streams of bytes of any length, in bounded memory: as they are, in base64 at any
 * alignment, hexadecimal, UTF-16, reversed, rotated by 13 and percent-encoded.
 */
export function createScanner(secrets: readonly Secret[]): {
  scanFile(path: string): Promise<Finding[]>;
  scan(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Finding[]>;
} {
  const needles = secrets.flatMap(needlesOf);
  const byTriple = new Map<number, Needle[]>();
  const isPair = new Uint8Array(PAIRS);
  const isTriple = new Uint8Array(TRIPLES);
  for (const needle of needles) {
    const triple = needle.bytes.readUIntBE(0, 3);
    isPair[triple >> 8] = 1;
    isTriple[triple] = 1;
    byTriple.set(triple, [...(byTriple.get(triple) ?? []), needle]);
  }
  const longest = Math.max(...needles.map(({ bytes }) => bytes.length));

  async function scan(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Finding[]> {
    const counts = new Map<Needle, number>();
    let rest = Buffer.alloc(0);
    for await (const chunk of chunks) {
      const text = Buffer.concat([rest, chunk]);
      const end = Math.max(text.length - longest, 0);
      look(text, end, counts);
      rest = Buffer.from(text.subarray(end));
    }
    look(rest, rest.length, counts);
    return summarise(counts);
  }

  /** Notes every needle that begins before `end`. */
  function look(text: Buffer, end: number, counts: Map<Needle, number>): void {
    for (let at = 0; at < end; at++) {
      const pair = ((text[at] ?? 0) << 8) | (text[at + 1] ?? 0);
      if (isPair[pair] === 1) {
        const triple = (pair << 8) | (text[at + 2] ?? 0);
        for (const needle of isTriple[triple] === 1 ? (byTriple.get(triple) ?? none) : none) {
          if (text.subarray(at, at + needle.bytes.length).equals(needle.bytes)) {
            counts.set(needle, (counts.get(needle) ?? 0) + 1);
          }
        }
      }
    }
  }

  return { scan, scanFile: (path) => scan(createReadStream(path, { highWaterMark: CHUNK_BYTES })) };
}

function summarise(counts: ReadonlyMap<Needle, number>): Finding[] {
  const findings = new Map<string, Finding>();
  for (const [{ name, form }, count] of counts) {
    const key = JSON.stringify([name, form]);
    findings.set(key, { name, form, count: count + (findings.get(key)?.count ?? 0) });
  }
  return [...findings.values()];
}

function needlesOf({ name, value }: Secret): Needle[] {
  return piecesOf(value)
    .flatMap(formsOf)
    .map(([form, bytes]) => ({ name, form, bytes }));
}

/** Pieces of a secret behind its prefix; the last one ends where it ends. */
function piecesOf(value: string): string[] {
  const last = value.length - PIECE_CHARS;
  if (last < PREFIX_CHARS) {
    throw new Error(`a secret of ${value.length} characters is too short to be told from chance`);
  }
  const starts: number[] = [];
  for (let start = PREFIX_CHARS; start < last; start += STRIDE_CHARS) {
    starts.push(start);
  }
  return [...starts, last].map((start) => value.slice(start, start + PIECE_CHARS));
}

function formsOf(piece: string): [string, Buffer][] {
  const bytes = Buffer.from(piece);
  const hex = bytes.toString("hex");
  const percent = hex.replaceAll(/../g, "%$&");
  const texts: [string, string][] = [
    ["raw", piece],
    ["hex", hex],
    ["hex", hex.toUpperCase()],
    ["reversed", Buffer.from(piece).reverse().toString()],
    ["rot13", rotate(piece)],
    ["percent", percent],
    ["percent", percent.toUpperCase()],
    ["percent", encodeURIComponent(piece)],
    ...[0, 1, 2].flatMap((offset): [string, string][] => {
      const text = base64At(bytes, offset);
      return [
        [`base64+${offset}`, text],
        [`base64+${offset}`, text.replaceAll("+", "-").replaceAll("/", "_")],
      ];
    }),
  ];
  // What is the same in two forms counts as the simpler one.
  const distinct = new Map(texts.toReversed().map(([form, text]) => [text, form]));
  // Without the last byte it is both byte orders'.
  const wide = Buffer.from(piece, "utf16le").subarray(0, -1);
  return [...[...distinct].map(([text, form]): [string, Buffer] => [form, Buffer.from(text)]), ["utf16", wide]];
}

/** What stands in any base64 text in which these bytes begin `offset` bytes into a group of three. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString("base64")
    .replaceAll("=", "");
  // Characters that hold bits of a neighbour as well.
  const first = [0, 2, 3][offset] ?? 0;
  const isShared = (offset + bytes.length) % 3 !== 0;
  return text.slice(first, isShared ? -1 : undefined);
}

function rotate(text: string): string {
  return text.replaceAll(/[a-z]/gi, (letter) => {
    const base = letter <= "Z" ? 65 : 97;
    return String.fromCharCode(((letter.charCodeAt(0) - base + 13) % 26) + base);
  });
}
