import { matchesAnyFolded } from "./glob.ts";
import { nearest } from "./suggestion.ts";

/** What somebody asks for in a comment. Every text in it is the commenter's. */
export type Command =
  | { readonly kind: "start"; readonly task: string; readonly sha: string | null; readonly instructions: string | null }
  /** Null stands for every task of the pull request. */
  | { readonly kind: "cancel"; readonly task: string | null }
  | { readonly kind: "retry" }
  /** The patch that waits on this pull request: onto the branch, or turned down. */
  | { readonly kind: "apply" | "discard" }
  | { readonly kind: "status" }
  | { readonly kind: "help" }
  | { readonly kind: "wrong"; readonly why: "no_sha" | "too_long" };

/** More than that is a task of its own. */
export const INSTRUCTIONS_CHARS_MAX = 2_000;
const TASK_CHARS_MAX = 100;
const FULL_SHA = /^[0-9a-f]{40}([0-9a-f]{24})?$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;

/**
 * The first line that begins with `/codex`, where a reader would see it as one: not in a code block, a quote or an HTML
 * comment. Null if there is none. The rest of that line, after the task, are instructions. Pure; linear in the text.
 */
export function parseCommand(body: string): Command | null {
  const line = visibleLines(body).find((text) => /^\/codex(\s|$)/.test(text));
  return line === undefined ? null : commandOf(line.slice("/codex".length).trim());
}

function visibleLines(body: string): string[] {
  const kept: string[] = [];
  let fence: string | null = null;
  let hidden = false;
  for (const line of body.split(/\r\n|\r|\n/)) {
    const mark = FENCE.exec(line)?.[1] ?? null;
    if (hidden) {
      hidden = !line.includes("-->");
    } else if (fence !== null) {
      if (mark !== null && mark.startsWith(fence) && line.trim() === mark) {
        fence = null;
      }
    } else if (mark !== null) {
      fence = mark;
    } else if (line.includes("<!--") && !line.startsWith("/codex")) {
      hidden = line.lastIndexOf("-->") < line.lastIndexOf("<!--");
    } else {
      kept.push(line);
    }
  }
  return kept;
}

function commandOf(text: string): Command {
  const [first, rest] = split(text);
  switch (first.toLowerCase()) {
    case "":
    case "help":
      return { kind: "help" };
    case "status":
      return { kind: "status" };
    case "retry":
      return { kind: "retry" };
    case "apply":
      return { kind: "apply" };
    case "discard":
      return { kind: "discard" };
    case "cancel":
      return { kind: "cancel", task: rest === "" ? null : taskIn(rest) };
    case "run": {
      const [sha, more] = split(rest);
      const [task, instructions] = split(more);
      const isWhole = FULL_SHA.test(sha) && task !== "";
      return isWhole ? start(task, sha, instructions) : { kind: "wrong", why: "no_sha" };
    }
    default:
      return start(first, null, rest);
  }
}

function start(task: string, sha: string | null, instructions: string): Command {
  return instructions.length > INSTRUCTIONS_CHARS_MAX
    ? { kind: "wrong", why: "too_long" }
    : { kind: "start", task: taskIn(task), sha, instructions: instructions === "" ? null : instructions };
}

function taskIn(text: string): string {
  return split(text)[0].slice(0, TASK_CHARS_MAX);
}

function split(text: string): [string, string] {
  const at = text.search(/\s/);
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at).trim()];
}

/**
 * The task that this name stands for: its label, or the end of it after a hyphen (`review` for `codex-review`) if that
 * is the end of one alone. Otherwise the label that was probably meant, or null.
 */
export function taskNamed(
  name: string,
  labels: readonly string[],
): { readonly label: string } | { readonly label: null; readonly near: string | null } {
  const folded = name.toLowerCase();
  const same = labels.find((label) => label.toLowerCase() === folded);
  const [only, another] = labels.filter((label) => label.toLowerCase().endsWith(`-${folded}`));
  const label = same ?? (another === undefined ? only : undefined);
  if (label !== undefined && name !== "") {
    return { label };
  }
  const ends = labels.map((one) => one.slice(one.indexOf("-") + 1));
  const near = nearest(name, [...labels, ...ends, "cancel", "retry", "apply", "discard", "status", "help"]);
  return { label: null, near };
}

/** The labels of the task files in a folder with these entries, as far as the operator lets labels stand for tasks. */
export function labelsOfFiles(names: readonly string[], patterns: readonly string[]): string[] {
  return names
    .filter((name) => name.endsWith(".md"))
    .map((name) => name.slice(0, -".md".length))
    .filter((label) => matchesAnyFolded(patterns, label));
}
