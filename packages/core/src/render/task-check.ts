import { limits } from "../limits.ts";
import type { JudgedTask, OptionChange } from "../task-change.ts";
import { TASK_FOLDER } from "../task-file.ts";
import { type CheckAnnotation, isFilePath } from "./annotations.ts";
import type { RenderedCheck } from "./check.ts";
import { codeSpan, count, oneLine } from "./text.ts";

/** Of one file: more would only hide the first. */
const PROBLEMS_SHOWN = 20;
const MESSAGE_CHARS_MAX = 1_000;

const fates = {
  new: "is new",
  changed: "changes",
  removed: "is removed: its label starts nothing any more, unless the organisation has a default of that name",
  "switched off": "is switched off: its label starts nothing any more",
} as const satisfies Record<JudgedTask["fate"], string>;

/**
 * The check of a pull request that changes task files: what each comes to once it is merged, and mistakes on their lines.
 * Everything of a file stands in code spans or, on its line, as the plain text that GitHub shows. Bound: limits.commentCharsMax.
 * The same tasks give the same check.
 *
 * @param more Files that change too and were not looked at.
 */
export function renderTaskCheck(tasks: readonly JudgedTask[], more: number, defaultBranch: string): RenderedCheck {
  const wrong = tasks.filter(({ problems }) => problems.length > 0).length;
  const opening = tasks.filter(({ options }) => options.some(({ opens }) => opens !== null)).length;
  return {
    status: "completed",
    conclusion: wrong > 0 ? "failure" : opening > 0 || more > 0 ? "neutral" : "success",
    title: titleOf({ changed: tasks.length, wrong, opening, more }),
    summary: fitted(tasks, [
      `Nothing of this is in force until it is merged: tasks are read from the default branch, ${codeSpan(defaultBranch)}. ` +
        "What stands here was found by reading the files; no run was started.",
      ...(more > 0 ? [`${count(more)} more task files change, which were not looked at.`] : []),
    ]),
    annotations: tasks.flatMap(annotationsOf),
  };
}

function titleOf(counts: { changed: number; wrong: number; opening: number; more: number }): string {
  const { changed, wrong, opening, more } = counts;
  const files = `${count(changed + more)} task ${changed + more === 1 ? "file changes" : "files change"}`;
  if (wrong > 0) {
    return `${files}; ${count(wrong)} would start no run`;
  }
  return opening > 0 ? `${files}; ${count(opening)} may do more than before` : `${files}, and can be merged`;
}

/** As many files as fit, and how many do not. */
function fitted(tasks: readonly JudgedTask[], head: readonly string[]): string {
  const parts = [...head];
  let room = limits.commentCharsMax - head.join("\n\n").length - SPARE_CHARS;
  for (const [index, task] of tasks.entries()) {
    const part = linesOf(task).join("\n");
    if (part.length + 2 > room) {
      parts.push(`${count(tasks.length - index)} more are not shown here.`);
      break;
    }
    parts.push(part);
    room -= part.length + 2;
  }
  return parts.join("\n\n");
}

const SPARE_CHARS = 200;

function linesOf({ name, fate, problems, options, isPromptChanged, starters }: JudgedTask): string[] {
  return [
    `### ${codeSpan(name)} ${fates[fate]}`,
    "",
    ...problems
      .slice(0, PROBLEMS_SHOWN)
      .map(({ line, message }) => `- No run would start. Line ${line}: ${codeSpan(message)}`),
    ...options.map(optionLine),
    ...(isPromptChanged ? ["- The prompt changes."] : []),
    ...(starters === null ? [] : [`- Who may start it: ${starters.map((who) => codeSpan(who)).join("; ")}`]),
  ];
}

function optionLine({ option, before, after, opens }: OptionChange): string {
  // A schema is a page of its own, and how it begins says nothing.
  const values =
    option === "output-schema" ? "is another one" : `${codeSpan(written(before))} becomes ${codeSpan(written(after))}`;
  const change = `- ${codeSpan(option)}: ${values}`;
  return opens === null ? change : `${change}. **${opens}**`;
}

function written(value: unknown): string {
  if (Array.isArray(value)) {
    return value.map(String).join(", ");
  }
  return value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
}

function annotationsOf({ name, fate, problems, options }: JudgedTask): CheckAnnotation[] {
  const path = `${TASK_FOLDER}/${name}`;
  if (fate === "removed" || !isFilePath(path)) {
    return [];
  }
  return [
    ...problems.slice(0, PROBLEMS_SHOWN).map(({ line, message }) => {
      return noteOf({ path, line, level: "failure", title: "No run would start", message });
    }),
    ...options.flatMap(({ option, place, opens }) => {
      return opens === null || place === null
        ? []
        : [noteOf({ path, line: place.line, level: "warning", title: `${option} opens more`, message: opens })];
    }),
  ];
}

function noteOf(note: {
  path: string;
  line: number;
  level: CheckAnnotation["annotation_level"];
  title: string;
  message: string;
}): CheckAnnotation {
  const { path, line, level, title, message } = note;
  return {
    path,
    start_line: line,
    end_line: line,
    annotation_level: level,
    title,
    message: oneLine(message, MESSAGE_CHARS_MAX),
  };
}
