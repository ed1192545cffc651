/** One secret found. The secret itself is not repeated. */
export interface SecretHit {
  /** A value we know, or what the value looks like. */
  readonly kind: string;
  /** How it was written. */
  readonly form: string;
}

/** Shorter values would be found by chance once case and punctuation are ignored. */
const FOLDED_CHARS_MIN = 10;

/** A leak may have lost its beginning or its end: log filters know secrets by `sk-` and the like. */
const PIECE_CHARS = 16;
/** From the beginning of one piece to that of the next. */
const PIECE_STEP = 4;

/** What credentials of others, and our own, look like. Each is bounded, so that none can be made slow. */
const PATTERNS: readonly { readonly kind: string; readonly pattern: RegExp }[] = [
  { kind: "GitHub installation token", pattern: /ghs_[A-Za-z0-9._-]{36}/ },
  { kind: "GitHub token", pattern: /gh[pour]_[A-Za-z0-9]{36}/ },
  { kind: "GitHub fine-grained token", pattern: /github_pat_[A-Za-z0-9_]{36}/ },
  {
    kind: "OpenAI key",
    pattern: /(?<![A-Za-z0-9])sk-(?=[A-Za-z0-9_-]{0,200}\d)(?=[A-Za-z0-9_-]{0,200}[A-Z])[A-Za-z0-9_-]{20}/,
  },
  { kind: "AWS access key", pattern: /(?<![A-Z0-9])A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Z0-9])/ },
  { kind: "private key", pattern: /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----/ },
  { kind: "JWT", pattern: /eyJ[A-Za-z0-9_-]{8,500}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8}/ },
  { kind: "Mayfly capability", pattern: /mf[ck]_[A-Za-z0-9_-]{16}/ },
];

/**
 * Looks for secrets in text that is about to be shown: the known values as they are, encoded (base64 at each of its three
 * offsets, hex, percent, entities, JSON escapes, reversed, ROT13), in any case, and split by blanks, punctuation or
 * invisible characters; and anything that looks like a token. The caller withholds the whole text on a hit.
 * It cannot see a secret that was encrypted, or spread over several runs.
 *
 * @param known Values that must not be shown; one of fewer than 10 letters and digits is looked for only as it is.
 */
export function findSecrets(text: string, known: readonly string[]): SecretHit[] {
  return createSecretSearch(known)(text);
}

/** `findSecrets` for several texts: a value has a hundred forms and more, which are made once. */
export function createSecretSearch(known: readonly string[]): (text: string) => SecretHit[] {
  const values = known.filter((value) => value !== "").map((value) => ({ value, needles: needlesOf(value) }));
  return (text) => {
    const visible = text.replace(/[\p{Default_Ignorable_Code_Point}\p{Cf}]/gu, "");
    const written = [visible, decoded(visible)];
    const folded = written.map(fold);
    return [
      ...values.flatMap(({ value, needles }): SecretHit[] => {
        const form = text.includes(value) ? "as it is" : formIn(folded, needles);
        return form === null ? [] : [{ kind: "known value", form }];
      }),
      ...PATTERNS.filter(({ pattern }) => written.some((form) => pattern.test(form))).map(({ kind }) => ({
        kind,
        form: "by its look",
      })),
    ];
  };
}

/** One way to write a value, or a piece of it, as it stands in a folded text. */
interface Needle {
  readonly form: string;
  readonly needle: string;
}

function needlesOf(value: string): Needle[] {
  return piecesOf(value)
    .flatMap(forms)
    .filter(({ needle }) => needle.length >= FOLDED_CHARS_MIN);
}

/** The first form that occurs in any of the folded texts. */
function formIn(texts: readonly string[], needles: readonly Needle[]): string | null {
  return needles.find(({ needle }) => texts.some((text) => text.includes(needle)))?.form ?? null;
}

/** The whole, and overlapping pieces of it: whatever part of 19 characters or more is left of a value holds one. */
function piecesOf(value: string): string[] {
  // A piece may have too few letters and digits to be looked for, so the whole is always one.
  const pieces = [value];
  for (let start = 0; start + PIECE_CHARS < value.length; start += PIECE_STEP) {
    pieces.push(value.slice(start, start + PIECE_CHARS));
  }
  if (value.length > PIECE_CHARS) {
    pieces.push(value.slice(-PIECE_CHARS));
  }
  return pieces;
}

function forms(value: string): Needle[] {
  const bytes = Buffer.from(value, "utf8");
  const reversed = Array.from(value).reverse().join("");
  return [
    { form: "split", needle: fold(value) },
    { form: "reversed", needle: fold(reversed) },
    { form: "ROT13", needle: fold(value.replace(/[a-z]/gi, rot13)) },
    { form: "hex", needle: bytes.toString("hex") },
    ...[0, 1, 2].map((offset) => ({ form: "base64", needle: fold(base64Core(bytes, offset)) })),
  ];
}

/** The digits of base64 that depend on these bytes alone, when `offset` bytes of something else stand before them. */
function base64Core(bytes: Buffer, offset: number): string {
  const digits = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString("base64")
    .replaceAll("=", "");
  const whole = Math.floor(((offset + bytes.length) * 8) / 6);
  return digits.slice(Math.ceil((offset * 8) / 6), whole);
}

function rot13(letter: string): string {
  const base = letter <= "Z" ? 65 : 97;
  return String.fromCharCode(((letter.charCodeAt(0) - base + 13) % 26) + base);
}

/** Letters and digits in lower case: what is left of a value however it was split, quoted or cased. */
function fold(text: string): string {
  return text.replace(/[^A-Za-z0-9]/g, "").toLowerCase();
}

/** Percent, entities and escapes of JSON and C undone, as far as they stand for ASCII. */
function decoded(text: string): string {
  return text.replace(
    /%([0-9a-f]{2})|&#x0{0,8}([0-9a-f]{2});?|&#0{0,8}(\d{2,3});?|\\u00([0-9a-f]{2})|\\x([0-9a-f]{2})/gi,
    (whole, percent?: string, hex?: string, decimal?: string, unicode?: string, byte?: string) => {
      const digits = percent ?? hex ?? unicode ?? byte;
      const code = digits === undefined ? Number(decimal) : Number.parseInt(digits, 16);
      return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : whole;
    },
  );
}
