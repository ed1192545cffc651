import type { ReviewWords } from "../review.ts";
import type { PatchFile } from "./check.ts";
import type { DiffLine } from "./line-diff.ts";

/** Lines between two changes that are still one suggestion: with fewer, both could need the same line. */
const GAP_MIN = 2;
/** Longer ones are read better in the patch itself. */
const SUGGESTION_CHARS_MAX = 4_000;

const WORDS =
  "The patch that Codex made, as suggestions where the diff shows the lines. The head is in a fork, where Mayfly never pushes: " +
  "whoever may push there can commit them, one by one or in one batch. The whole patch stands with the answer.";

/**
 * A patch as a review whose findings are nothing but suggestions, for those who may push where Mayfly does not. Left out is
 * what a suggestion cannot say: new and deleted files, other line ends than a line feed, a last line without one. Pure.
 */
export function suggestPatch(files: readonly PatchFile[]): ReviewWords {
  const findings = files.flatMap(({ path, isNew, bytes, lines }) =>
    isNew || bytes === null
      ? []
      : changesOf(lines).map(({ from, to, text }) => ({
          path,
          line: to,
          start_line: from === to ? null : from,
          side: "RIGHT" as const,
          severity: "info" as const,
          title: "",
          body: "",
          suggestion: text,
        })),
  );
  return { summary: WORDS, verdict: null, findings };
}

/** Lines of the file as it was, from the first to the last, and what is to stand there instead. */
interface ChangedLines {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

function changesOf(lines: readonly DiffLine[]): ChangedLines[] {
  const numbers = numbersOf(lines);
  return groupsOf(lines).flatMap(([start, end]) => {
    const [first, last] = withNeighbour(lines, start, end);
    const part = lines.slice(first, last);
    const old = part.flatMap(({ kind }, index) => (kind === "+" ? [] : [numbers[first + index] ?? 0]));
    const text = part.flatMap((line) => (line.kind === "-" ? [] : [line.text])).join("");
    const [from, to] = [old[0], old.at(-1)];
    const isSayable = part.every((line) => line.text.endsWith("\n") && !line.text.includes("\r"));
    return from === undefined || to === undefined || text === "" || text.length > SUGGESTION_CHARS_MAX || !isSayable
      ? []
      : [{ from, to, text }];
  });
}

/** The number of each line in the file as it was; of one that came, of the one before it. */
function numbersOf(lines: readonly DiffLine[]): number[] {
  let number = 0;
  return lines.map(({ kind }) => (kind === "+" ? number : ++number));
}

/** Where runs of changes begin and end, in lines of the diff. */
function groupsOf(lines: readonly DiffLine[]): (readonly [number, number])[] {
  const groups: (readonly [number, number])[] = [];
  lines.forEach(({ kind }, index) => {
    const last = groups.at(-1);
    if (kind !== " " && last !== undefined && index - last[1] < GAP_MIN) {
      groups[groups.length - 1] = [last[0], index + 1];
    } else if (kind !== " ") {
      groups.push([index, index + 1]);
    }
  });
  return groups;
}

/** Lines that only came have no place, and lines that only went leave nothing to say: a line beside them stays as it is. */
function withNeighbour(lines: readonly DiffLine[], start: number, end: number): [number, number] {
  const kinds = new Set(lines.slice(start, end).map(({ kind }) => kind));
  if ((kinds.has("+") && kinds.has("-")) || kinds.has(" ")) {
    return [start, end];
  }
  return start > 0 ? [start - 1, end] : [start, Math.min(end + 1, lines.length)];
}
