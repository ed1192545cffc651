import type { Conversation } from "./conversation.ts";
import { type Diff, parseDiff } from "./diff.ts";
import { findingsIn } from "./findings.ts";
import { diffCommand } from "./reviewer.ts";
import { run, say } from "./script.ts";
import type { Turn } from "./script.ts";

// As many as a review shows beside lines.
const FINDINGS_MAX = 10;
/** Nothing else reaches the shell. */
const PLAIN_PATH = /^[A-Za-z0-9_][\w./-]*$/;

const signature =
  "Written by a script that stands in for the model. It knows a handful of patterns and understands nothing else.";

interface Inline {
  readonly path: string;
  readonly line: number;
  readonly body: string;
  /** The line as it should be, where the script knows. */
  readonly better: string | null;
}

/**
 * The scripted reviewer of tasks that publish a review: has Codex run `git diff`, mend in the working tree what it can,
 * and answers in the review's shape.
 */
export function inlineReviewer(seen: Conversation): Turn {
  if (seen.step === 0) {
    return run(diffCommand(seen.prompt));
  }
  const diff = parseDiff(seen.outputs[0] ?? "");
  const found = inlineFindings(diff);
  const mending = found.filter(({ path, better }) => better !== null && PLAIN_PATH.test(path));
  if (seen.step === 1 && mending.length > 0) {
    return run(mending.map(({ path, line }) => `sed -i '${line}s/<=/</' -- ${path}`).join(" && "));
  }
  return say(reviewOf(diff, found));
}

function inlineFindings(diff: Diff): Inline[] {
  const found = diff.files.flatMap(findingsIn).slice(0, FINDINGS_MAX);
  return found.map(({ path, line, message, code }) => {
    const text = textAt(diff, path, line);
    const isMendable = message.includes("`<`") && code.split("<=").length === 2 && text !== null;
    return { path, line, body: message, better: isMendable ? text.replace("<=", "<") : null };
  });
}

function textAt({ files }: Diff, path: string, line: number): string | null {
  const lines = files.filter((file) => file.path === path).flatMap(({ hunks }) => hunks.flat());
  return lines.find((one) => one.kind === "added" && one.line === line)?.text ?? null;
}

function reviewOf({ files }: Diff, found: readonly Inline[]): string {
  return JSON.stringify({
    summary: `Files changed: ${files.length}. Lines worth a second look: ${found.length}.\n\n_${signature}_`,
    verdict: found.length === 0 ? "no_problems" : "minor_problems",
    findings: found.map(({ path, line, body, better }) => ({
      path,
      line,
      start_line: null,
      side: null,
      severity: better === null ? "low" : "high",
      title: better === null ? "Worth a second look" : "One past the end",
      body,
      suggestion: better,
    })),
  });
}
