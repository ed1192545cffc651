import { limits } from "./limits.ts";
import { reviewSchema } from "./review.ts";
import { type Place, type Problem, readStrictYaml, type StrictYamlResult } from "./strict-yaml.ts";
import { readTaskOption, type TaskOptions } from "./task-options.ts";
import { defaultTask, type TaskSpec } from "./task-spec.ts";
import { variableProblems } from "./task-variables.ts";

/** A task file as it was read from the default branch. */
export type TaskFile =
  | { readonly ok: true; readonly options: TaskOptions; readonly prompt: string }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** What a task gets for the options its file does not set. */
export interface TaskDefaults {
  readonly model: string;
  readonly timeoutMs: number;
  readonly publish: TaskSpec["publish"];
}

/** The options and a schema; the prompt does not count. Its few names at most keep the reader's time below 0.1 s. */
const FRONT_MATTER_CHARS_MAX = 16 * 1_024;
/** Twice GitHub's own limit of 50, so that only mischief is refused. */
const LABEL_CHARS_MAX = 100;

/** Where task files lie, from a repository's root. */
export const TASK_FOLDER = ".github/codex/labels";

/**
 * The file that says what a label stands for, from the repository's root: `.github/codex/labels/<label>.md`.
 * A label that cannot be a file's name has none; the reason is a sentence part that follows "the label".
 */
export function taskPath(
  label: string,
): { readonly ok: true; readonly path: string } | { readonly ok: false; readonly reason: string } {
  const reason = unnameable(label);
  return reason === null ? { ok: true, path: `${TASK_FOLDER}/${label}.md` } : { ok: false, reason };
}

function unnameable(label: string): string | null {
  if (label === "" || label.trim() !== label) {
    return "is empty or has a space at its beginning or end";
  }
  if (label.length > LABEL_CHARS_MAX) {
    return `is longer than ${LABEL_CHARS_MAX} characters`;
  }
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(label)) {
    return "contains a control or invisible character";
  }
  if (/[/\\]/.test(label)) {
    return "contains a slash";
  }
  const hasDots = label.startsWith(".") || label.endsWith(".") || label.includes("..");
  return hasDots ? "begins or ends with a dot, or contains two in a row" : null;
}

/**
 * Reads a task file: YAML front matter between two `---` lines, which may be missing, and the prompt below it.
 * Every mistake comes with its line and column. Never throws. Bound: limits.taskBytesMax.
 */
export function parseTaskFile(text: string): TaskFile {
  if (text.length > limits.taskBytesMax || new TextEncoder().encode(text).length > limits.taskBytesMax) {
    return fail({ line: 1, column: 1, message: `the file is bigger than ${limits.taskBytesMax / 1024} KiB` });
  }
  const lines = linesOf(text);
  const binary = lines.findIndex((line) => line.includes("\0"));
  if (binary >= 0) {
    const column = (lines[binary] ?? "").indexOf("\0") + 1;
    return fail({ line: binary + 1, column, message: "the file is not a text: it contains a NUL character" });
  }
  if (!isFence(lines[0])) {
    return withPrompt({}, lines, 0);
  }
  const end = lines.findIndex((line, index) => index > 0 && isFence(line));
  if (end < 0) {
    return fail({ line: 1, column: 1, message: "the front matter begins here, but no line `---` ends it" });
  }
  const read = readOptions(readFrontMatter(lines, end));
  return read.ok ? withPrompt(read.options, lines, end + 1) : read;
}

/**
 * Where each option of a task file stands, by the option's name; empty for a file without options or with mistakes.
 * Never throws. Bound: as above.
 */
export function optionPlaces(text: string): ReadonlyMap<string, Place> {
  if (!parseTaskFile(text).ok) {
    return new Map();
  }
  const lines = linesOf(text);
  const end = isFence(lines[0]) ? lines.findIndex((line, index) => index > 0 && isFence(line)) : 0;
  const read = readFrontMatter(lines, end);
  const names = read.ok ? Object.keys(read.yaml.value) : [];
  return new Map(read.ok ? names.map((name) => [name, read.yaml.placeOf([name], "key")]) : []);
}

/** The file's options over the service's defaults. The operator's ceiling is policy's (policy.ts). */
export function resolveTask(label: string, options: TaskOptions, defaults: TaskDefaults): TaskSpec {
  const { model, timeoutMs, publish } = defaults;
  const asked: TaskSpec = { ...defaultTask(label, model), timeoutMs, publish, ...options };
  const task = asked.publish.includes("review")
    ? { ...asked, outputSchema: asked.outputSchema ?? reviewSchema }
    : asked;
  // As in codex-action: this strategy is the sandbox of that name and nothing else.
  return task.safetyStrategy === "read-only" ? { ...task, sandbox: "read-only" } : task;
}

function linesOf(text: string): string[] {
  return text
    .replace(/^\uFEFF/, "")
    .replaceAll("\r\n", "\n")
    .split("\n");
}

/** It begins on the file's second line, and ends before the line of this index. */
function readFrontMatter(lines: readonly string[], end: number): StrictYamlResult {
  return readStrictYaml(lines.slice(1, Math.max(end, 1)).join("\n"), {
    charsMax: FRONT_MATTER_CHARS_MAX,
    firstLine: 2,
  });
}

function readOptions(
  result: StrictYamlResult,
): { ok: true; options: TaskOptions } | { ok: false; problems: readonly Problem[] } {
  if (!result.ok) {
    return result;
  }
  let options: TaskOptions = {};
  const problems: Problem[] = [];
  for (const [name, value] of Object.entries(result.yaml.value)) {
    const reading = readTaskOption(name, value);
    if (reading.ok) {
      options = { ...options, ...reading.options };
    } else {
      problems.push({ ...result.yaml.placeOf([name], "key"), message: reading.problem });
    }
  }
  if (options.network !== undefined && options.setup === undefined) {
    const message = "network: only set-up commands reach hosts, and there is no setup";
    problems.push({ ...result.yaml.placeOf(["network"], "key"), message });
  }
  return problems.length === 0 ? { ok: true, options } : { ok: false, problems: problems.slice(0, PROBLEMS_MAX) };
}

/** As in strict-yaml.ts: more would only hide the first. */
const PROBLEMS_MAX = 20;

function withPrompt(options: TaskOptions, lines: readonly string[], from: number): TaskFile {
  const below = lines.slice(from);
  const prompt = below.join("\n").trim();
  // A file that only switches a task off has nothing to ask.
  if (prompt === "" && options.enabled !== false) {
    return fail({
      line: Math.min(from + 1, lines.length),
      column: 1,
      message: "there is no prompt below the front matter",
    });
  }
  const problems = variableProblems(below, from + 1);
  return problems.length === 0
    ? { ok: true, options, prompt }
    : { ok: false, problems: problems.slice(0, PROBLEMS_MAX) };
}

function isFence(line: string | undefined): boolean {
  return line !== undefined && /^---[ \t]*$/.test(line);
}

function fail(problem: Problem): TaskFile {
  return { ok: false, problems: [problem] };
}
