import { endingTexts } from "../ending.ts";
import type { Instant, RunId } from "../ids.ts";
import { limits } from "../limits.ts";
import type { Run } from "../run.ts";
import type { LinkScope } from "../safe-output/links.ts";
import { makeSafe, type SafeText } from "../safe-output/make-safe.ts";
import { renderDuration } from "./duration.ts";
import { renderFacts } from "./facts.ts";
import { progressTitle } from "./progress.ts";
import type { EndedRun, RunFacts } from "./receipt.ts";
import { durationOf } from "./steps.ts";
import { codeBlock, codeSpan, count, quote } from "./text.ts";

/** What a comment or check is made from, next to the run. */
export interface ReportInput extends LinkScope, RunFacts {
  /** The final message as Codex wrote it: hostile, made safe here. Null if there is none to show. */
  readonly answer: string | null;
  /** Where the receipt can be read; shown as text. */
  readonly receiptUrl?: string | null;
}

/** "> " before each line of the answer. */
const QUOTE_CHARS = 2;
/** Kept free for the marker and for joining. */
const SPARE_CHARS = 200;
const SPARE_LINES = 20;
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
  return `${commentMarker(run.id)}\n\n${renderReport(run, input)}`;
}

/** The same comment while the run goes on: phases, times and reasons in our own words. */
export function renderProgressComment(run: Run, { now }: { readonly now: Instant }): string {
  // Our own words, but they may name what another program said.
  const { markdown: title } = makeSafe(progressTitle(run, now), { repository: null, githubHost: "github.com" });
  return [commentMarker(run.id), "", `### ${title}`, "", `${subject(run)}. To stop it, remove the label.`].join("\n");
}

/** A comment without its marker: the summary of a check. */
export function renderReport(run: EndedRun, input: ReportInput): string {
  const head = [`### ${endingTexts[run.ending.code].title}`, "", frame(run)].join("\n");
  const facts = renderFacts(run, input);
  const body = run.ending.outcome === "succeeded" ? answerOf(input, head.length + facts.length) : failure(run);
  return [head, ...(body === "" ? [] : [body]), facts].join("\n\n");
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

function answerOf(input: ReportInput, taken: number): string {
  if (input.answer === null) {
    return "";
  }
  const linesMax = limits.commentLinesMax - SPARE_LINES;
  const room = limits.commentCharsMax - taken - linesMax * QUOTE_CHARS - SPARE_CHARS;
  const safe = makeSafe(input.answer, {
    repository: input.repository,
    githubHost: input.githubHost,
    charsMax: Math.max(room, ANSWER_CHARS_MIN),
    linesMax,
  });
  return [quote(safe.markdown), ...removedLine(safe)].join("\n\n");
}

/** What a reader should know was in the answer and is not any more. */
function removedLine({ removed, plain }: SafeText): string[] {
  const parts = (
    [
      ["images", removed.images],
      ["links to elsewhere", removed.links],
      ["pieces of HTML", removed.html],
      ["invisible characters", removed.invisible],
      ["control characters", removed.controls],
    ] as const
  ).flatMap(([what, found]) => (found === 0 ? [] : [`${what}: ${count(found)}`]));
  return [
    ...(parts.length === 0 ? [] : [`Taken out of the answer or made harmless: ${parts.join(", ")}.`]),
    ...(plain ? ["The answer is shown as plain text, because its formatting could not be made safe."] : []),
  ];
}

function failure(run: EndedRun): string {
  const { detail, code } = run.ending;
  const { fix } = endingTexts[code];
  return [...(fix === "" ? [] : [fix]), ...(detail.trim() === "" ? [] : [quote(codeBlock(detail))])].join("\n\n");
}
