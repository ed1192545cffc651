import { isRunId, type RunId } from "../ids.ts";
import { findingIdentity } from "../review-open.ts";
import type { PlacedFinding, PlacedReview } from "../review-place.ts";
import type { Finding, Review, ReviewWords } from "../review.ts";
import { cleanText } from "../safe-output/characters.ts";
import type { LinkScope } from "../safe-output/links.ts";
import { makeSafe } from "../safe-output/make-safe.ts";
import { codeBlock, codeSpan, oneLine, quote } from "./text.ts";

/** A comment on lines, as GitHub takes it in a review. */
export interface ReviewLineComment {
  readonly path: string;
  readonly line: number;
  readonly side: "LEFT" | "RIGHT";
  readonly start_line?: number;
  readonly start_side?: "LEFT" | "RIGHT";
  readonly body: string;
}

/** Whose review it is. */
export interface ReviewOf {
  readonly id: RunId;
  /** Names the task. */
  readonly label: string;
  /** Of a finding's identity: 32 hexadecimal digits. */
  readonly hashOf: (identity: string) => string;
}

export interface RenderedReview {
  readonly body: string;
  readonly comments: readonly ReviewLineComment[];
}

/** One finding's words: its body is bounded, and its marks may make it longer. */
const COMMENT_CHARS_MAX = 20_000;
const COMMENT_LINES_MAX = 200;
/** A longer run of backticks is no code, and its fence would have to be longer still. */
const BACKTICKS_MAX = 60;
/** Lines that GitHub would commit at one press. */
const SUGGESTION_LINES_MAX = 100;
/** Room for a whole summary beside its marker and our own words. */
const BODY_CHARS_MAX = 40_000;

const verdictTexts = {
  no_problems: "No problems found",
  minor_problems: "Minor problems found",
  serious_problems: "Serious problems found",
} as const satisfies Record<Review["verdict"], string>;
/** In place of a verdict, and of the title of each comment. */
const PATCH = "Codex's patch";

/** The hidden first line by which a run's review is known again. */
export function reviewMarker(run: RunId): string {
  return `<!-- mayfly:review=${run} -->`;
}

/** The hidden first line by which a comment on lines is known again: whose run's it is, of which task, and which finding. */
function findingMarker({ id, label }: ReviewOf, hash: string): string {
  return `<!-- mayfly:finding=${id}/${encodeURIComponent(label)}/${hash} -->`;
}

/**
 * Any run's marker of a task, at the start of a comment's text, with the finding's hash if it says one; null if there is
 * none. The text may be anybody's.
 */
export function readFindingMarker(body: string, label: string): { run: RunId; hash: string | null } | null {
  const marker = /^<!-- mayfly:finding=(run_[0-9a-z]{20})\/([^\s/]{1,1000})(?:\/([0-9a-f]{32}))? -->/;
  const [, run = "", task = "", hash = null] = marker.exec(body) ?? [];
  return isRunId(run) && task === encodeURIComponent(label) ? { run, hash } : null;
}

/** A review as it goes to GitHub: every text of the machine is made safe and stands in a quote. The same input gives the same review. */
export function renderReview(
  of: ReviewOf,
  review: ReviewWords,
  placed: PlacedReview,
  scope: LinkScope,
): RenderedReview {
  const { markdown } = makeSafe(reviewText(review, placed), { ...scope, charsMax: BODY_CHARS_MAX });
  const own = "Written by a machine, not reviewed by a person. It approves nothing.";
  return {
    body: `${reviewMarker(of.id)}\n\n${own}\n\n${quote(markdown)}`,
    comments: placed.inline.map((one) => {
      const comment = commentOf(one, scope);
      const marker = findingMarker(of, of.hashOf(findingIdentity(one)));
      return { ...comment, body: `${marker}\n\n${comment.body}` };
    }),
  };
}

/**
 * A review as one Markdown text, for the comment and the check: the verdict, the summary, each finding in a line, those
 * still open from before too, and in full those that have no comment on a line. Still hostile: it is to be made safe like any answer.
 */
export function reviewText(review: ReviewWords, placed: PlacedReview): string {
  const count = placed.inline.length;
  const head = `**${review.verdict === null ? PATCH : verdictTexts[review.verdict]}**`;
  const inline = placed.inline.map(({ finding }) => `- ${lineOf(finding)}`);
  return [
    head,
    review.summary.trim(),
    ...(count === 0 ? [] : ["**Comments on lines of the diff**", inline.join("\n")]),
    ...stillOpen(placed),
    ...section("Outside the diff", placed, "outside_diff"),
    ...section("Further findings", placed, "too_many"),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function stillOpen({ open }: PlacedReview): string[] {
  const title =
    open.length === 1 ? "1 finding still open from before" : `${open.length} findings still open from before`;
  return open.length === 0 ? [] : [`**${title}**`, open.map(({ finding }) => `- ${lineOf(finding)}`).join("\n")];
}

function section(title: string, { beyond }: PlacedReview, why: "outside_diff" | "too_many"): string[] {
  const findings = beyond.filter((one) => one.why === why).map(({ finding }) => finding);
  if (findings.length === 0) {
    return [];
  }
  const parts = findings.flatMap((finding) =>
    // What is to stand on a line without what stood there tells nobody anything.
    finding.title === "" ? [lineOf(finding)] : [lineOf(finding), finding.body.trim(), codeOf(finding.suggestion)],
  );
  return [`**${title}**`, ...parts];
}

function lineOf({ severity, path, line, title }: Finding): string {
  const place = codeSpan(`${path}:${line}`);
  return title === "" ? place : `**${severity}** ${place} ${oneLine(title)}`;
}

function codeOf(suggestion: string | null): string {
  return suggestion === null ? "" : codeBlock(suggestion);
}

function commentOf({ finding, side, startLine, suggestion }: PlacedFinding, scope: LinkScope): ReviewLineComment {
  const offered = suggestion === null ? null : suggestionBlock(suggestion);
  const { title, severity } = finding;
  const words = [title === "" ? `**${PATCH}**` : `**${severity}** ${oneLine(title)}`, finding.body.trim()];
  // What cannot be offered is shown as code: to read, not to press.
  const text = [...words, offered === null ? codeOf(finding.suggestion) : ""].filter((part) => part !== "");
  const { markdown } = makeSafe(text.join("\n\n"), {
    ...scope,
    charsMax: COMMENT_CHARS_MAX,
    linesMax: COMMENT_LINES_MAX,
  });
  const body = [quote(markdown), ...(offered === null ? [] : [offered])].join("\n\n");
  const range = startLine === null ? {} : { start_line: startLine, start_side: side };
  return { path: finding.path, line: finding.line, side, ...range, body };
}

/**
 * Code that GitHub offers to commit, or null if it may not be: what is committed is what a person sees, so nothing in it
 * may be hidden or have to be changed; and no line of it may be a command to a bot, since no quote stands before it.
 */
function suggestionBlock(code: string): string | null {
  const text = code.replace(/\r\n/g, "\n").replace(/\n$/, "");
  const lines = text.split("\n");
  const longest = (text.match(/`+/g) ?? []).reduce((most, run) => Math.max(most, run.length), 2);
  const isPlain = cleanText(text).text === text;
  if (!isPlain || longest > BACKTICKS_MAX || lines.length > SUGGESTION_LINES_MAX || lines.some(isCommand)) {
    return null;
  }
  const fence = "`".repeat(longest + 1);
  return `${fence}suggestion\n${text}\n${fence}`;
}

/** `/merge`, `@bot rebase`, `::set-output`; a comment's `//` and `/*` and an annotation alone on its line are none. */
function isCommand(line: string): boolean {
  return /^\s*(?:\/[\p{L}\p{N}]|@[\w[\]/-]+\s+\S|::|##\[)/u.test(line);
}
