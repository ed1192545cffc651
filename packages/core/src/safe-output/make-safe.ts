import { limits } from "../limits.ts";
import { cleanText } from "./characters.ts";
import { cutText, fits, type Room } from "./cut.ts";
import type { LinkScope } from "./links.ts";
import { parseMarkdown } from "./parse-markdown.ts";
import { rebuild } from "./rebuild.ts";
import { nothingRemoved, type Removed } from "./removed.ts";
import { serialise } from "./serialise.ts";
import { isSafeMarkdown } from "./verify.ts";

export interface SafeOptions extends LinkScope {
  /** Room for the outcome, if less than a whole comment: UTF-16 code units and lines. */
  readonly charsMax?: number;
  readonly linesMax?: number;
}

export interface SafeText {
  /** Markdown with every structure closed, so that text may follow it. */
  readonly markdown: string;
  readonly removed: Readonly<Removed>;
  /** True if the text was built so that it is only shown as one block of plain text. */
  readonly plain: boolean;
}

/** Room for the line that says what was left out. */
const MARKER_CHARS_MAX = 80;
/** Writing can make text longer (escapes, code spans): it is cut shorter and written again, at most this often. */
const TRIES_MAX = 6;
/** A longer run of backticks is no text, and its fence would have to be longer still. */
const BACKTICKS_MAX = 60;

/**
 * Hostile text as Markdown that does nothing on GitHub: rebuilt from an allow-list, without images, raw HTML, mentions,
 * references, commands and invisible characters, with links into the same repository only. Bounded in length, lines and
 * line length, with a marker that says what was cut; bounded in time whatever the text. Safe text stays safe text.
 * Never throws: whatever goes wrong, a fixed text stands in place of this one.
 */
export function makeSafe(text: string, options: SafeOptions): SafeText {
  try {
    return rebuilt(text, options);
  } catch {
    // Not even a message: it may quote the text.
    return { markdown: FAILED, removed: { ...nothingRemoved(), E_FAILURE: 1 }, plain: false };
  }
}

const FAILED = "_This text is not shown: it could not be made safe (`E_FAILURE`)._";

function rebuilt(text: string, options: SafeOptions): SafeText {
  const room = roomOf(options);
  const raw = text.slice(0, limits.finalMessageBytesMax);
  const clean = cleanText(raw);
  const before = { controls: clean.controls, invisible: clean.invisible, leftOut: text.length - raw.length };
  for (let budget = room, tries = 0; tries < TRIES_MAX; tries += 1) {
    const part = cutText(clean.text, budget);
    const removed = { ...nothingRemoved(), E_CONTROL: before.controls, E_UNICODE: before.invisible };
    removed.E_SIZE = before.leftOut + part.leftOut;
    const written = write(part.text, options, removed);
    if (written === null) {
      break;
    }
    const markdown = withMarker(written, removed.E_SIZE);
    if (fits(written, room)) {
      return isSafeMarkdown(markdown, options)
        ? { markdown, removed, plain: false }
        : asPlain(clean.text, room, before);
    }
    budget = { chars: half(budget.chars, part.text.length), lines: budget.lines, lineChars: half(budget.lineChars) };
    if (written.split("\n").length > room.lines) {
      budget = { ...budget, lines: half(budget.lines) };
    }
  }
  return asPlain(clean.text, room, before);
}

function roomOf({ charsMax = limits.commentCharsMax, linesMax = limits.commentLinesMax }: SafeOptions): Room {
  return { chars: charsMax - MARKER_CHARS_MAX, lines: linesMax - 2, lineChars: limits.commentLineCharsMax };
}

function half(bound: number, used: number = bound): number {
  return Math.floor(Math.min(bound, used) / 2);
}

/** The text rebuilt, or null if it costs too much to read. */
function write(text: string, scope: LinkScope, removed: Removed): string | null {
  const tree = parseMarkdown(text);
  return tree === null ? null : serialise(rebuild(tree, scope, removed));
}

/** The whole text as one fenced block: nothing in it is read as anything. */
function asPlain(text: string, room: Room, before: { controls: number; invisible: number; leftOut: number }): SafeText {
  const tame = text.replace(/`+/g, (run) => run.slice(0, BACKTICKS_MAX));
  const longest = (tame.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), 2);
  const fence = "`".repeat(longest + 1);
  const part = cutText(tame, { ...room, chars: room.chars - 2 * fence.length - 2, lines: room.lines - 2 });
  const leftOut = before.leftOut + part.leftOut;
  const counts = { E_CONTROL: before.controls, E_UNICODE: before.invisible, E_SIZE: leftOut, E_MARKDOWN: 1 };
  const markdown = withMarker(`${fence}\n${part.text}\n${fence}`, leftOut);
  return { markdown, removed: { ...nothingRemoved(), ...counts }, plain: true };
}

function withMarker(markdown: string, leftOut: number): string {
  return leftOut === 0
    ? markdown
    : `${markdown}\n\n_${leftOut.toLocaleString("en-US")} characters were left out here._`;
}
