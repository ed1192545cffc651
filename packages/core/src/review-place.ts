import { type Finding, type ReviewWords, severities } from "./review.ts";

/** Comments on lines in one review: more are noise, and each notifies. */
const INLINE_MAX = 10;

/** One file of a pull request's diff, as GitHub lists it. */
export interface DiffFile {
  readonly path: string;
  /** The unified diff without its header; null where GitHub leaves it out: binary files and big ones. */
  readonly patch: string | null;
}

/** A finding on lines that the diff shows. */
export interface PlacedFinding {
  readonly finding: Finding;
  readonly side: "LEFT" | "RIGHT";
  /** Null for a finding on one line. */
  readonly startLine: number | null;
  /** The line's text as the diff shows it: by it a finding is known again where lines have moved. */
  readonly text: string;
  /** What GitHub may offer to commit; null if that would not change exactly the lines meant. */
  readonly suggestion: string | null;
}

export interface PlacedReview {
  /** Most severe first, at most 10. */
  readonly inline: readonly PlacedFinding[];
  /** Those whose comment of an earlier run still stands, so that none is made again. */
  readonly open: readonly PlacedFinding[];
  /** What stands in the summary instead, most severe first, and why. */
  readonly beyond: readonly { readonly finding: Finding; readonly why: "outside_diff" | "too_many" }[];
}

/**
 * Where each finding of a review goes: on lines that the diff shows, since GitHub refuses all comments of a review for
 * one that is elsewhere, or into the summary. Pure; linear in the diff and the findings.
 */
export function placeReview(review: ReviewWords, diff: readonly DiffFile[]): PlacedReview {
  // JSON cannot say a name that is not UTF-8: where GitHub lists one, U+FFFD stands in it, and no comment finds the file.
  const wanted = new Set(review.findings.flatMap(({ path }) => (path.includes("\uFFFD") ? [] : [path])));
  const files = new Map(
    diff.flatMap(({ path, patch }) => (patch !== null && wanted.has(path) ? [[path, linesOf(patch)] as const] : [])),
  );
  const inline: PlacedFinding[] = [];
  const beyond: { finding: Finding; why: "outside_diff" | "too_many" }[] = [];
  for (const finding of mostSevereFirst(review.findings)) {
    const placed = place(finding, files.get(finding.path));
    if (placed === null) {
      beyond.push({ finding, why: "outside_diff" });
    } else if (inline.length === INLINE_MAX) {
      beyond.push({ finding, why: "too_many" });
    } else {
      inline.push(placed);
    }
  }
  return { inline, open: [], beyond };
}

/** The same placing without comments of its own for some findings: they stand in the summary, as those outside the diff do. */
export function placeWithout(placed: PlacedReview, refused: readonly PlacedFinding[]): PlacedReview {
  return {
    ...placed,
    inline: placed.inline.filter((one) => !refused.includes(one)),
    beyond: [...placed.beyond, ...refused.map(({ finding }) => ({ finding, why: "outside_diff" as const }))],
  };
}

interface ShownLine {
  readonly hunk: number;
  readonly text: string;
}

/** Each line that is shown on a side, with the number of its hunk. */
type ShownLines = Readonly<Record<"LEFT" | "RIGHT", ReadonlyMap<number, ShownLine>>>;

function place(finding: Finding, shown: ShownLines | undefined): PlacedFinding | null {
  const side = finding.side ?? "RIGHT";
  const line = shown?.[side].get(finding.line);
  if (shown === undefined || line === undefined) {
    return null;
  }
  const start = finding.start_line ?? finding.line;
  // A hunk's lines follow each other, so those in between are in it as well.
  const isRange = start < finding.line && shown[side].get(start)?.hunk === line.hunk;
  const isExact = isRange || start === finding.line;
  const suggestion = side === "RIGHT" && isExact ? finding.suggestion : null;
  return { finding, side, startLine: isRange ? start : null, text: line.text, suggestion };
}

function linesOf(patch: string): ShownLines {
  const shown = { LEFT: new Map<number, ShownLine>(), RIGHT: new Map<number, ShownLine>() };
  const at = { left: 0, right: 0, hunk: 0 };
  for (const line of patch.split("\n")) {
    const header = /^@@ -(\d{1,9})(?:,\d{1,9})? \+(\d{1,9})(?:,\d{1,9})? @@/.exec(line);
    if (header !== null) {
      at.left = Number(header[1]);
      at.right = Number(header[2]);
      at.hunk += 1;
      continue;
    }
    const sign = line[0];
    const one = { hunk: at.hunk, text: line.slice(1) };
    // Anything else is no line of a file: "\ No newline at end of file".
    if (at.hunk > 0 && (sign === " " || sign === "-")) {
      shown.LEFT.set(at.left++, one);
    }
    if (at.hunk > 0 && (sign === " " || sign === "+")) {
      shown.RIGHT.set(at.right++, one);
    }
  }
  return shown;
}

function mostSevereFirst(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity));
}
