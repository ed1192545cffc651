import { basename } from "node:path";
import {
  type Config,
  optionPlaces,
  parseTaskFile,
  refuseLabel,
  refuseTask,
  resolveTask,
  taskDefaults,
  taskPath,
  toTerminal,
} from "@mayfly/core";
import { loadSettings } from "./settings.ts";
import { readTaskText } from "./task-text.ts";
import type { Terminal } from "./terminal.ts";

interface Checked {
  readonly file: string;
  readonly problems: readonly { readonly line: number; readonly column: number; readonly message: string }[];
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
  const checked: Checked[] = [];
  for (const file of files) {
    const text = await readTaskText(file);
    const beyond = config === null ? [] : ceilingProblems(file, text, config);
    checked.push({ file, problems: [...nameProblems(file), ...textProblems(text), ...beyond] });
  }
  const ok = checked.every(({ problems }) => problems.length === 0);
  const text = flags.json === true ? JSON.stringify({ ok, files: checked }) : checked.flatMap(linesOf).join("\n");
  terminal.stdout(`${text}\n`);
  return ok ? 0 : 1;
}

function nameProblems(file: string): Checked["problems"] {
  const name = basename(file);
  if (!name.endsWith(".md")) {
    return [{ line: 1, column: 1, message: "the file's name does not end with .md: no label leads to it" }];
  }
  const path = taskPath(name.slice(0, -".md".length));
  return path.ok ? [] : [{ line: 1, column: 1, message: `no label leads to this file: its name ${path.reason}` }];
}

function textProblems(text: string): Checked["problems"] {
  const read = parseTaskFile(text);
  return read.ok ? [] : read.problems.map(({ line, column, message }) => ({ line, column, message }));
}

/** What the operator does not allow, in the words of a refused run. A file with mistakes has those first. */
function ceilingProblems(file: string, text: string, { policy, model }: Config): Checked["problems"] {
  const label = basename(file, ".md");
  const foreign = refuseLabel(label, policy);
  const read = parseTaskFile(text);
  const task = read.ok ? resolveTask(label, read.options, taskDefaults(policy, model.default)) : null;
  const places = optionPlaces(text);
  const top = { line: 1, column: 1 };
  return [
    ...(foreign === null ? [] : [{ ...top, message: foreign }]),
    ...(task === null ? [] : refuseTask(task, policy)).map(({ option, detail }) => {
      const { line, column } = places.get(option) ?? top;
      return { line, column, message: detail };
    }),
  ];
}

function linesOf({ file, problems }: Checked): string[] {
  const lines = problems.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  // Names and messages carry what the file says: one line each, whatever stands in them.
  return (lines.length === 0 ? [`${file}: good`] : lines).map((line) => toTerminal(line.replaceAll("\n", " ")));
}
