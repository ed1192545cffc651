import { findSecrets } from "@mayfly/core";
import type { Random } from "../corpus/random.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

/** So much of a secret is a leak: less is found by chance. */
const PIECE_CHARS = 24;

/** Ways to write a secret that a person could undo. Written here anew: nothing of the product's own decoder is used. */
const disguises: Readonly<Record<string, (value: string, random: Random) => string>> = {
  "as it is": (value) => value,
  "in base64": (value) => btoa(value),
  "in base64, one byte later": (value) => btoa(`x${value}`),
  "in base64, two bytes later": (value) => btoa(`xy${value}`),
  "in URL-safe base64": (value) => Buffer.from(value).toString("base64url"),
  "in base64 in lines": (value) => btoa(value).replaceAll(/.{16}/g, "$&\n"),
  "in hexadecimal": (value) => hexOf(value),
  "in spaced hexadecimal": (value) => hexOf(value).toUpperCase().replaceAll(/../g, "$& "),
  "in C escapes": (value) => hexOf(value).replaceAll(/../g, "\\x$&"),
  "in JSON escapes": (value) => hexOf(value).replaceAll(/../g, "\\u00$&"),
  "percent-encoded": (value) => hexOf(value).replaceAll(/../g, "%$&"),
  "in decimal entities": (value) =>
    Array.from(value)
      .map((c) => `&#${c.charCodeAt(0)};`)
      .join(""),
  "in hexadecimal entities": (value) =>
    Array.from(value)
      .map((c) => `&#x${c.charCodeAt(0).toString(16)};`)
      .join(""),
  reversed: (value) => Array.from(value).toReversed().join(""),
  "in ROT13": (value) =>
    value.replaceAll(/[a-z]/gi, (c) => {
      const base = c < "a" ? 65 : 97;
      return String.fromCharCode(((c.charCodeAt(0) - base + 13) % 26) + base);
    }),
  "in capitals": (value) => value.toUpperCase(),
  "in small letters": (value) => value.toLowerCase(),
  "with blanks between": (value) => Array.from(value).join(" "),
  "with hyphens between": (value) => value.replaceAll(/.{4}/g, "$&-"),
  "over two lines": cutAt,
  "with zero-width characters between": (value) => Array.from(value).join("\u200b"),
  "in Markdown": (value) => value.replaceAll(/.{6}/g, "$&**"),
  "without its first seven characters": (value) => value.slice(7),
  "without its last seven characters": (value) => value.slice(0, -7),
};

function hexOf(value: string): string {
  return Buffer.from(value).toString("hex");
}

function cutAt(value: string, random: Random): string {
  const at = 3 + random.int(value.length - 6);
  return `${value.slice(0, at)}\n${value.slice(at)}`;
}

export const disguisedSecrets: Row = {
  id: "T26",
  attack:
    "A credential that leaked all the same stands in the answer: encoded, reversed, split, cut short, in other case.",
  needs: "nothing",
  unit: "disguised secrets",
  control: "text without the secret is let through, so that a hit means something",
  async run(context) {
    const tally = createTally();
    knownValues(context, tally);
    innocent(context, tally);
    return tally.verdict(`found in each of ${Object.keys(disguises).length} disguises`);
  },
};

function knownValues(context: AttackContext, tally: Tally): void {
  const random = context.random("secrets");
  const missed = new Set<string>();
  for (let left = context.cases(5_000, 60); left > 0; left--) {
    const value = secretOf(random);
    for (const [name, disguise] of Object.entries(disguises)) {
      const text = `${random.soup(words, 1, 30)} ${disguise(value, random)} ${random.soup(words, 1, 30)}`;
      const isFound = findSecrets(text, [value]).length > 0;
      // One example of each is enough to say.
      tally.expect(
        isFound || missed.has(name),
        () => `a secret ${name} is not found: ${JSON.stringify(text)} has ${value}`,
      );
      if (!isFound) {
        missed.add(name);
      }
    }
  }
}

/** Credentials as there are: a key, a token, a webhook's secret, a capability, without a look that would give them away. */
function secretOf(random: Random): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const body = Array.from(
    { length: PIECE_CHARS + 7 + random.int(20) },
    () => alphabet[random.int(alphabet.length)],
  ).join("");
  return `${random.pick(["", "key-", "wh_", "secret:"])}${body}`;
}

const words = [
  "The ",
  "loop ",
  "never ",
  "ends ",
  "`i`",
  " + ",
  "1",
  "\n\n",
  "- ",
  "**bold** ",
  "src/main.ts:12 ",
  "0x1f ",
  "sk-",
  "é ",
];

function innocent(context: AttackContext, tally: Tally): void {
  const random = context.random("innocent");
  const known = Array.from({ length: 20 }, () => secretOf(random));
  let hits = 0;
  for (let left = context.cases(20_000, 500); left > 0; left--) {
    hits += findSecrets(random.soup(words, 20, 120), known).length;
  }
  tally.control(hits === 0, `${hits} hits in text without a secret`);
}
