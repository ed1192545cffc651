import type { Ceiling } from "./ceiling.ts";
import type { Place } from "./strict-yaml.ts";
import { explainTask, type ExplainedOption, type TaskExplanation } from "./task-explanation.ts";
import { parseTaskFile } from "./task-file.ts";
import { taskProblems, type TaskProblem } from "./task-problems.ts";

/** What stands at the place of a task file. */
export type TaskContent =
  | { readonly kind: "none" }
  | { readonly kind: "text"; readonly text: string }
  /** No text of at most limits.taskBytesMax; `what` follows "is". */
  | { readonly kind: "odd"; readonly what: string };

/** A task file on both sides of a pull request. */
export interface TaskFileChange {
  /** The file's name in the folder of task files. Hostile. */
  readonly name: string;
  readonly before: TaskContent;
  readonly after: TaskContent;
}

/** An option that is another one afterwards. */
export interface OptionChange {
  readonly option: string;
  readonly before: unknown;
  readonly after: unknown;
  /** Where the file sets it; null if it does not. */
  readonly place: Place | null;
  /** What it opens that was closed, as a sentence; null if nothing. */
  readonly opens: string | null;
}

/** What becomes of one task once the change is merged. Texts in it are the file's, and hostile. */
export interface JudgedTask {
  readonly name: string;
  readonly fate: "new" | "changed" | "removed" | "switched off";
  /** Of the file as it would be: with any of them no run starts. */
  readonly problems: readonly TaskProblem[];
  readonly options: readonly OptionChange[];
  readonly isPromptChanged: boolean;
  /** Who may start it afterwards; null if that is as before. */
  readonly starters: readonly string[] | null;
}

/** Under which terms tasks run here. */
export interface TaskTerms {
  readonly ceiling: Ceiling;
  readonly modelDefault: string;
}

/**
 * What a change of task files comes to, by the functions that decide about runs; of a file that is new, against a task that
 * sets nothing. Pure, never throws. The same changes give the same.
 */
export function judgeTaskChange(change: TaskFileChange, terms: TaskTerms): JudgedTask {
  const { name, before, after } = change;
  const none = { name, problems: [], options: [], isPromptChanged: false, starters: null };
  if (after.kind === "none") {
    return { ...none, fate: "removed" };
  }
  const fate = before.kind === "none" ? "new" : "changed";
  if (after.kind === "odd") {
    const message = `the file is ${after.what}, and must be a text file`;
    return { ...none, fate, problems: [{ line: 1, column: 1, message }] };
  }
  const read = parseTaskFile(after.text);
  if (read.ok && read.options.enabled === false) {
    return { ...none, fate: "switched off" };
  }
  const problems = taskProblems(name, after.text, terms);
  const now = explain(name, after.text, terms);
  const was = explain(name, before.kind === "text" && parseTaskFile(before.text).ok ? before.text : NOTHING_SET, terms);
  return {
    name,
    fate,
    problems,
    options: read.ok ? changedOptions(was.options, now.options) : [],
    isPromptChanged: before.kind === "text" && read.ok && promptOf(before.text) !== read.prompt,
    starters: read.ok && (fate === "new" || !isSame(was.starters, now.starters)) ? now.starters : null,
  };
}

/** A task file without options. */
const NOTHING_SET = "A task.\n";

function explain(name: string, text: string, { ceiling, modelDefault }: TaskTerms): TaskExplanation {
  return explainTask({ label: name.replace(/\.md$/, ""), text, ceiling, modelDefault, fork: false });
}

function promptOf(text: string): string | null {
  const read = parseTaskFile(text);
  return read.ok ? read.prompt : null;
}

function changedOptions(before: readonly ExplainedOption[], after: readonly ExplainedOption[]): OptionChange[] {
  const known = new Map(before.map(({ option, value }) => [option, value]));
  return after.flatMap(({ option, value, place }) => {
    const was = known.get(option) ?? null;
    return isSame(was, value)
      ? []
      : [{ option, before: was, after: value, place, opens: opened(option, listOf(was), listOf(value)) }];
  });
}

/** What a change of this option lets in or out that was not before. */
function opened(option: string, before: readonly unknown[], after: readonly unknown[]): string | null {
  const added = after.filter((value) => !before.includes(value));
  if (option === "publish" && added.includes("commit")) {
    return "Runs commit to the branch by themselves: nobody has to approve that.";
  }
  if (option === "publish" && added.includes("draft-pull-request")) {
    return "Runs push a branch of their own and open a draft pull request by themselves: nobody has to approve that.";
  }
  const rule = openings[option];
  return rule !== undefined && added.some((value) => rule.opens(value, before)) ? rule.words : null;
}

const sandboxes: readonly unknown[] = ["read-only", "workspace-write", "danger-full-access"];
const always = (): boolean => true;
/** Options by which a task comes to more than it did: whether a value does that it did not have before. */
const openings: Readonly<
  Record<string, { opens: (value: unknown, before: readonly unknown[]) => boolean; words: string }>
> = {
  sandbox: {
    opens: (value, [before]) => sandboxes.indexOf(value) > sandboxes.indexOf(before),
    words: "Codex's commands may change more than before in its machine.",
  },
  "safety-strategy": {
    opens: (value) => value === "unsafe",
    words: "Codex runs as root in its machine, and can read what the agent knows there.",
  },
  publish: { opens: always, words: "A run puts more on the pull request than before." },
  setup: { opens: always, words: "Other commands run before Codex, with whatever the pull request brings." },
  network: { opens: always, words: "What is in the repository can leave to these hosts while set-up runs." },
  "allow-users": { opens: always, words: "People without write access may start it." },
  "allow-bots": { opens: (value) => value === true, words: "A bot may start it." },
  "allow-bot-users": { opens: always, words: "A bot may start it." },
};

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === null || value === undefined ? [] : [value];
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
