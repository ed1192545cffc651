import type { Instant } from "../ids.ts";
import { cleanText } from "../safe-output/characters.ts";

/** A name, a label, a line of an error: enough to know it by. */
const SPAN_CHARS_MAX = 200;
/** What a person reads of an error; the receipt has all of it. */
const BLOCK_CHARS_MAX = 4_000;
const BLOCK_LINES_MAX = 60;
/** Longer runs would need a fence that is longer than the text. */
const BACKTICKS = /`{4,}/g;

/** Hostile text on one line: no controls, nothing invisible, cut with an ellipsis. Not safe as Markdown by itself. */
export function oneLine(text: string, charsMax: number = SPAN_CHARS_MAX): string {
  // Cut first, generously, so that the cleaning of a huge text costs no more than that of a long one.
  const clean = cleanText(text.slice(0, charsMax * 4))
    .text.replace(/\s+/g, " ")
    .trim();
  return clean.length > charsMax ? `${wellFormed(clean.slice(0, charsMax - 1))}…` : clean;
}

/** Hostile text as a code span that ends where we say, or "none" if there is nothing to show. */
export function codeSpan(text: string): string {
  const line = oneLine(text).replace(BACKTICKS, "```");
  if (line === "") {
    return "none";
  }
  const fence = fenceFor(line, 1);
  return line.includes("`") ? `${fence} ${line} ${fence}` : `${fence}${line}${fence}`;
}

/** Hostile text as a fenced block, cut to what a person reads. */
export function codeBlock(text: string): string {
  const clean = cleanText(text.slice(0, BLOCK_CHARS_MAX)).text.replace(BACKTICKS, "```");
  const lines = clean.trimEnd().split("\n");
  const cut = text.length > BLOCK_CHARS_MAX || lines.length > BLOCK_LINES_MAX;
  const shown = [...lines.slice(0, BLOCK_LINES_MAX), ...(cut ? ["…"] : [])].join("\n");
  const fence = fenceFor(shown, 3);
  return `${fence}\n${shown}\n${fence}`;
}

/** Every line in a quote: no line of the text is then at the start of its line, where bots look for commands. */
export function quote(markdown: string): string {
  return markdown
    .split("\n")
    .map((line) => (line === "" ? ">" : `> ${line}`))
    .join("\n");
}

/** An instant as ISO 8601 in UTC. */
export function isoTime(at: Instant): string {
  return new Date(at).toISOString();
}

/** `1,234`: the commas also keep a long number from being read as a commit. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

function fenceFor(text: string, least: number): string {
  const longest = (text.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), least - 1);
  return "`".repeat(longest + 1);
}

function wellFormed(text: string): string {
  return text.isWellFormed() ? text : text.slice(0, -1);
}
