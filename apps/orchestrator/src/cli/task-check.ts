import { basename } from "node:path";
import { type TaskProblem, taskProblems, toTerminal } from "@mayfly/core";
import { loadSettings } from "./settings.ts";
import { readTaskText } from "./task-text.ts";
import type { Terminal } from "./terminal.ts";

interface Checked {
  readonly file: string;
  readonly problems: readonly TaskProblem[];
}

/**
 * `mayfly task check`: reads task files as a run would, and looks at their names. Runs nothing, asks nobody. With
 * settings it holds the files against the operator's ceiling too. Ends with 0 only if all are good. Throws INPUT_INVALID
 * for a file that cannot be read, CONFIG_INVALID for settings that are not valid. Bound: limits.taskBytesMax a file.
 */
export async function taskCheck(
  terminal: Terminal,
  files: readonly string[],
  flags: { json?: boolean; config?: string },
): Promise<number> {
  const config = flags.config === undefined ? null : loadSettings(terminal, flags);
  const terms = config === null ? null : { ceiling: config.policy, modelDefault: config.model.default };
  const checked: Checked[] = [];
  for (const file of files) {
    const text = await readTaskText(file);
    checked.push({ file, problems: taskProblems(basename(file), text, terms) });
  }
  const ok = checked.every(({ problems }) => problems.length === 0);
  const text = flags.json === true ? JSON.stringify({ ok, files: checked }) : checked.flatMap(linesOf).join("\n");
  terminal.stdout(`${text}\n`);
  return ok ? 0 : 1;
}

function linesOf({ file, problems }: Checked): string[] {
  const lines = problems.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  // Names and messages carry what the file says: one line each, whatever stands in them.
  return (lines.length === 0 ? [`${file}: good`] : lines).map((line) => toTerminal(line.replaceAll("\n", " ")));
}
