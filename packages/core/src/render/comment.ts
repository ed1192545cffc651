import { endingTexts, type Outcome } from "../ending.ts";
import type { Instant, RunId } from "../ids.ts";
import { limits } from "../limits.ts";
import type { Run } from "../run.ts";
import { howToStop } from "../run-request.ts";
import type { LinkScope } from "../safe-output/links.ts";
import { makeSafe, type SafeText } from "../safe-output/make-safe.ts";
import { countsOf } from "../safe-output/removed.ts";
import type { RuleCounts } from "../safe-output/rules.ts";
import { asRootText, ranAsRoot } from "./as-root.ts";
import { renderDuration } from "./duration.ts";
import { renderFacts } from "./facts.ts";
import { progressLines, progressTitle } from "./progress.ts";
import type { EndedRun, RunFacts } from "./receipt.ts";
import { durationOf } from "./steps.ts";
import { takenBackText } from "./taken-back.ts";
import { codeBlock, codeSpan, quote } from "./text.ts";

/** What a comment or check is made from, next to the run. */
export interface ReportInput extends LinkScope, RunFacts {
  /** The final message as Codex wrote it: hostile, made safe here. Null if there is none to show. */
  readonly answer: string | null;
  /** What is to be said of a patch, safe already and within its bound; not there for tasks that publish none. */
  readonly patch?: string;
  /** What is to be said of how Codex worked, safe already and within its bound; not there if there is nothing. */
  readonly activity?: string;
  /** What was shown before, safe already and within its bound; in a comment alone. Not there if nothing was. */
  readonly earlier?: string;
  /** Where the receipt can be read; shown as text. */
  readonly receiptUrl?: string | null;
}

/** "> " before each line of the answer. */
const QUOTE_CHARS = 2;
/** Kept free for the marker, for joining, and for the words that say that the answer is plain text. */
const SPARE_CHARS = 200;
const SPARE_LINES = 20;
/** The line that says what was removed: one entry for each rule, with a number of ten digits. */
const REMOVED_CHARS_MAX = 1_200;
/** However long the frame may get, an answer gets this much. */
const ANSWER_CHARS_MIN = 8_000;

/** The hidden first line by which our own comment is known again. Look for it at the very start of a body only. */
export function commentMarker(run: RunId): string {
  return `<!-- mayfly:run=${run} -->`;
}

/**
 * The one comment of an ended run: the marker, the verdict, the answer in a quote or what went wrong and what to do, and
 * the facts, folded. At most `limits.commentCharsMax` UTF-16 code units. The same input gives the same text.
 */
export function renderComment(run: EndedRun, input: ReportInput): string {
  const { earlier } = input;
  return [commentMarker(run.id), renderReport(run, input), ...(earlier === undefined ? [] : [earlier])].join("\n\n");
}

/** The same comment while the run goes on: phases, times and reasons in our own words. */
export function renderProgressComment(
  run: Run,
  { now, earlier }: Pick<ReportInput, "earlier"> & { readonly now: Instant },
): string {
  // Our own words, but they may name what another program said.
  const { markdown: title } = makeSafe(progressTitle(run, now), { repository: null, githubHost: "github.com" });
  const lines = [commentMarker(run.id), "", `### ${title}`, "", `${subject(run)}. ${howToStop(run.request)}`];
  const happened = progressLines(run);
  return [
    ...lines,
    ...takenBackLines(run),
    ...(happened.length === 0 ? [] : ["", ...happened]),
    ...(earlier === undefined ? [] : ["", earlier]),
  ].join("\n");
}

/** A comment without its marker: the summary of a check. */
export function renderReport(run: EndedRun, input: ReportInput): string {
  const answer = safeAnswer(run, input);
  const facts = renderFacts(run, input, answer === null ? {} : countsOf(answer.removed));
  const body = run.ending.outcome === "succeeded" ? answerOf(answer) : failure(run);
  return [headOf(run), body, patchOf(run, input), activityOf(run, input), facts]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** How often each rule applied to the answer that the report shows; empty if it shows none. */
export function countRemoved(run: EndedRun, input: ReportInput): RuleCounts {
  const answer = safeAnswer(run, input);
  return answer === null ? {} : countsOf(answer.removed);
}

/** A patch of a run that did not succeed is not shown: what it was made for may not hold any more. */
function patchOf(run: EndedRun, { patch }: ReportInput): string {
  return run.ending.outcome === "succeeded" ? (patch ?? "") : "";
}

/** What a machine says of its work is shown with its answer or not at all. */
function activityOf(run: EndedRun, { activity }: ReportInput): string {
  return run.ending.outcome === "succeeded" ? (activity ?? "") : "";
}

function headOf(run: EndedRun): string {
  const rights = ranAsRoot(run) ? ["", asRootText] : [];
  return [`### ${endingTexts[run.ending.code].title}`, "", frame(run), ...rights, ...takenBackLines(run)].join("\n");
}

function takenBackLines(run: Run): string[] {
  const text = takenBackText(run);
  return text === null ? [] : ["", text];
}

function frame(run: EndedRun): string {
  const who = run.ending.outcome === "succeeded" ? " Written by a machine, not reviewed by a person." : "";
  const time = run.epoch === 0 ? "" : `, ${renderDuration(durationOf(run))}`;
  return `${subject(run)}${time}.${who}`;
}

function subject({ request: { task, origin } }: Run): string {
  return origin.kind === "pull_request"
    ? `${codeSpan(origin.label)} on ${codeSpan(origin.head.slice(0, 7))}`
    : codeSpan(task.name);
}

/** The answer as it may be shown, in the room that the frame leaves; null if there is none to show. */
function safeAnswer(run: EndedRun, input: ReportInput): SafeText | null {
  if (run.ending.outcome !== "succeeded" || input.answer === null) {
    return null;
  }
  const around = [
    headOf(run),
    patchOf(run, input),
    activityOf(run, input),
    renderFacts(run, input, {}),
    input.earlier ?? "",
  ].join("\n");
  const linesMax = limits.commentLinesMax - around.split("\n").length - SPARE_LINES;
  const room = limits.commentCharsMax - around.length - REMOVED_CHARS_MAX - linesMax * QUOTE_CHARS - SPARE_CHARS;
  return makeSafe(input.answer, {
    repository: input.repository,
    githubHost: input.githubHost,
    charsMax: Math.max(room, ANSWER_CHARS_MIN),
    linesMax,
  });
}

function answerOf(answer: SafeText | null): string {
  if (answer === null) {
    return "";
  }
  const plain = "The answer is shown as plain text, because its formatting could not be made safe (`E_MARKDOWN`).";
  return [quote(answer.markdown), ...(answer.plain ? [plain] : [])].join("\n\n");
}

function failure(run: EndedRun): string {
  const { detail, code, outcome } = run.ending;
  const { fix } = endingTexts[code];
  const isStale = run.resultDigest !== null && staleOutcomes.includes(outcome);
  return [
    ...(fix === "" ? [] : [fix]),
    ...(isStale ? ["What came back is not shown: this changed meanwhile (`E_STALE`)."] : []),
    ...(detail.trim() === "" ? [] : [quote(codeBlock(detail))]),
  ].join("\n\n");
}

/** How a run ends whose answer came, and was overtaken before it could be shown. */
const staleOutcomes: readonly Outcome[] = ["refused", "superseded", "cancelled"];
