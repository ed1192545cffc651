import type { Conversation } from "./conversation.ts";
import { parseDiff } from "./diff.ts";
import type { Diff, DiffFile } from "./diff.ts";
import { findingsIn } from "./findings.ts";
import type { Finding } from "./findings.ts";
import { run, say } from "./script.ts";
import type { Turn } from "./script.ts";

/** What a command printed and how it ended; null if Codex could not run it. */
export interface Report {
  command: string;
  output: string;
  exitCode: number | null;
}

// A review longer than this is not read; what is left out is counted.
const FINDINGS_MAX = 20;
const FILES_MAX = 50;
const QUOTED_CHARS_MAX = 160;
// Enough of an object id to find it by.
const SHOWN_ID_CHARS = 12;
const QUOTED_LINES_MAX = 10;

const signature =
  "_Written by a script that stands in for the model. It knows a handful of patterns and understands nothing else._";

/** The scripted reviewer: has Codex run `git diff`, reads what comes back, and reviews that and nothing else. */
export function reviewer(seen: Conversation): Turn {
  const command = diffCommand(seen.prompt);
  return seen.step === 0
    ? run(command)
    : say(reviewOf({ command, output: seen.outputs[0] ?? "", exitCode: seen.exitCode }));
}

/** The `git diff BASE...HEAD` that the prompt names, or the last commit's. Only object ids reach the shell. */
export function diffCommand(prompt: string): string {
  const named = /\bgit diff ([0-9a-f]{7,64})\.\.\.([0-9a-f]{7,64})(?![\w.])/.exec(prompt);
  return named === null ? "git diff HEAD~1" : `git diff ${named[1]}...${named[2]}`;
}

/** The review in Markdown. */
export function reviewOf(report: Report): string {
  return `${body(report)}\n\n${signature}`;
}

function body({ command: asRun, output, exitCode }: Report): string {
  const command = asRun.replaceAll(/[0-9a-f]{13,}/g, (id) => id.slice(0, SHOWN_ID_CHARS));
  if (exitCode !== 0) {
    const how = exitCode === null ? "could not be run" : `ended with exit code ${exitCode}`;
    return `${code(command)} ${how}, so there is no diff to review.${printed(output)}`;
  }
  if (output.trim() === "") {
    return `The diff is empty: ${code(command)} printed nothing, so there is nothing to review.`;
  }
  const diff = parseDiff(output);
  if (diff.files.length === 0) {
    return `${code(command)} printed nothing that can be read as a diff.${printed(output)}`;
  }
  const sections = [summary(command, diff), fileList(diff.files), findingList(diff.files.flatMap(findingsIn))];
  return sections.join("\n\n");
}

function summary(command: string, { files, isShortened }: Diff): string {
  const added = files.reduce((sum, file) => sum + file.added, 0);
  const removed = files.reduce((sum, file) => sum + file.removed, 0);
  const counts = `${count(files.length, "file")} changed, ${count(added, "line")} added, ${removed} removed.`;
  return isShortened
    ? `Part of what ${code(command)} printed was left out on the way here. In the part that arrived: ${counts}`
    : `${code(command)}: ${counts}`;
}

function fileList(files: DiffFile[]): string {
  const lines = files.slice(0, FILES_MAX).map((file) => `- ${code(file.path)}${changeOf(file)}`);
  const more = files.length - lines.length;
  return [...lines, ...(more > 0 ? [`- and ${count(more, "more file")}`] : [])].join("\n");
}

function changeOf(file: DiffFile): string {
  const how = file.change === "modified" ? "" : ` (${file.change})`;
  return file.isBinary ? `${how}: binary` : `${how}: +${file.added} −${file.removed}`;
}

function findingList(findings: Finding[]): string {
  if (findings.length === 0) {
    return "Nothing in the added lines matches a pattern that it knows.";
  }
  const lines = Map.groupBy(findings, ({ path, line }) => `${path}:${line}`);
  const shown = [...lines].slice(0, FINDINGS_MAX).map(([place, found]) => {
    const messages = found.map(({ message }) => message).join(" ");
    return `- ${code(place)} ${messages}\n  ${code(found[0]?.code ?? "")}`;
  });
  const more = lines.size - shown.length;
  return ["### Worth a second look", "", ...shown, ...(more > 0 ? [`- and ${count(more, "more line")}`] : [])].join(
    "\n",
  );
}

function printed(output: string): string {
  const lines = output.trim().split("\n").slice(0, QUOTED_LINES_MAX);
  return output.trim() === "" ? "" : ` It printed:\n\n${lines.map((line) => `- ${code(line)}`).join("\n")}`;
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}

/** Inline code that its own content cannot end. */
function code(text: string): string {
  const line = text.replaceAll(/[\r\n]+/g, " ").slice(0, QUOTED_CHARS_MAX);
  const longest = Math.max(0, ...(line.match(/`+/g) ?? []).map((ticks) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return line.includes("`") || line.trim() === "" ? `${fence} ${line} ${fence}` : `${fence}${line}${fence}`;
}
