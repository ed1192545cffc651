import { limits } from "@mayfly/core";
import { renderActivity } from "../../packages/core/src/render/activity.ts";
import { renderCheck } from "../../packages/core/src/render/check.ts";
import { renderComment, renderProgressComment, type ReportInput } from "../../packages/core/src/render/comment.ts";
import { renderEarlier } from "../../packages/core/src/render/earlier.ts";
import type { EndedRun } from "../../packages/core/src/render/receipt.ts";
import type { Run } from "../../packages/core/src/run.ts";
import { findLive } from "./oracle.ts";

const DENIED = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}]|(?![\n\t])\p{Cc}/u;
/** What another bot, or a log of a workflow, would obey at the start of a line. */
const COMMAND = /^\s*(?:\/[a-z]|::|@)|^\s*##\[/im;
/** The only HTML in a body is the frame's own. */
const OURS: ReadonlySet<string> = new Set([
  "html <!-- mayfly:run=run_01kq3v9d5e0123456789 -->\n",
  "html <details>\n<summary>How this was run</summary>\n",
  "html <details>\n<summary>The result before this one</summary>\n",
  "html <details>\n<summary>Commands it ran: 1, of which 1 failed</summary>\n",
  "html </details>",
  "html </details>\n",
]);
/** GitHub's bound for the title of a check. */
const TITLE_CHARS_MAX = 255;

/** Everything that GitHub is given for a run in that phase: comment, check title and check summary. */
export interface Bodies {
  /** Plain text on one line. */
  readonly titles: readonly string[];
  readonly markdown: readonly string[];
}

export function bodiesOf(run: Run, input: ReportInput): Bodies {
  const { title, summary } = renderCheck(run, { ...input, now: run.createdAt + 61_000 });
  const isEnded = run.phase === "publishing" || run.phase === "done";
  const now = run.createdAt + 61_000;
  const comment = isEnded ? renderComment(run, input) : renderProgressComment(run, { now });
  const earlier = isEnded ? renderEarlier(run, input) : undefined;
  const text = input.answer ?? "";
  const activity = renderActivity(
    { todo: [{ text, completed: true }], commands: [{ command: text, exitCode: 1 }] },
    input,
  );
  const comments =
    earlier === undefined ? [comment] : [comment, renderComment(run as EndedRun, { ...input, earlier, activity })];
  return { titles: [title], markdown: [summary, ...comments] };
}

/** Everything that is wrong with them, as another parser reads them; empty if nothing is. */
export function problemsOf({ titles, markdown }: Bodies): string[] {
  return [
    ...titles.flatMap((title) => [
      ...(DENIED.test(title) || /[\n\t]/.test(title)
        ? [`a denied character in the title ${JSON.stringify(title)}`]
        : []),
      ...(title.length > TITLE_CHARS_MAX || title === "" ? [`a title of ${title.length} characters`] : []),
    ]),
    ...markdown.flatMap((text) => [...problemsIn(text), ...findLive(text).filter((one) => !OURS.has(one))]),
  ];
}

function problemsIn(text: string): string[] {
  const lines = text.split("\n");
  return [
    ...(DENIED.test(text) ? ["a denied character"] : []),
    ...(COMMAND.test(text) ? ["a command"] : []),
    ...(text.length > limits.commentCharsMax ? [`${text.length} characters`] : []),
    ...(lines.length > limits.commentLinesMax ? [`${lines.length} lines`] : []),
    ...(lines.some((line) => line.length > limits.commentLineCharsMax + LINE_SPARE) ? ["a line too long"] : []),
  ];
}

/** "> " before a line of the answer. */
const LINE_SPARE = 2;

/** What the state machine, the renderer and the frame go by: closed words, times and ids of ours. */
const KEPT: ReadonlySet<string> = new Set(
  [
    "phase kind outcome code state ended_by id safety_strategy safetyStrategy",
    // Enumerations of ours, written without a code span.
    "acceleration words schema why",
    // Dates of ours.
    "at times pricedAsOf",
  ].flatMap((line) => line.split(" ")),
);

/** The same record with one hostile text in every other place that holds a text. */
export function infested<T>(value: T, text: string): T {
  return infest(value, text) as T;
}

function infest(value: unknown, text: string): unknown {
  if (typeof value === "string") {
    return text;
  }
  if (Array.isArray(value)) {
    return value.map((one) => infest(one, text));
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, one]: [string, unknown]) => [key, KEPT.has(key) ? one : infest(one, text)]),
  );
}

/** A run before its end, made of what an ended one has. */
export function liveRun(run: EndedRun, phase: "queued" | "running" | "destroying"): Run {
  const { schema, id, request, createdAt, epoch, times, gone, modelCalls, attempt, ending } = run;
  const base = { schema, id, request, createdAt, epoch, times, gone, modelCalls };
  const source = { head: "a", base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "b" };
  if (attempt === null) {
    throw new Error("the fixture has an attempt");
  }
  switch (phase) {
    case "queued":
      return { ...base, phase, since: createdAt, source: null, waitingFor: "a machine" };
    case "running":
      return { ...base, phase, source, attempt };
    case "destroying":
      return { ...base, phase, source, attempt, ending, resultDigest: null };
    default:
      return phase satisfies never;
  }
}
