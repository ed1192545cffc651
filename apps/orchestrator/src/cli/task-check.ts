import { open } from "node:fs/promises";
import { basename } from "node:path";
import { AppError, limits, parseTaskFile, taskPath, toTerminal } from "@mayfly/core";
import type { Terminal } from "./terminal.ts";

interface Checked {
  readonly file: string;
  readonly problems: readonly { readonly line: number; readonly column: number; readonly message: string }[];
}

/**
 * `mayfly task check`: reads task files as a run would, and looks at their names. Runs nothing, asks nobody. Ends with 0
 * only if all are good. Throws INPUT_INVALID for a file that cannot be read. Bound: limits.taskBytesMax a file.
 */
export async function taskCheck(
  terminal: Terminal,
  files: readonly string[],
  flags: { json?: boolean },
): Promise<number> {
  const checked: Checked[] = [];
  for (const file of files) {
    checked.push({ file, problems: [...nameProblems(file), ...textProblems(await readTask(file))] });
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

/** One byte more than is accepted: that says as well that it is too much. */
async function readTask(file: string): Promise<string> {
  try {
    const handle = await open(file);
    try {
      const bytes = Buffer.alloc(limits.taskBytesMax + 1);
      let filled = 0;
      for (let got = -1; got !== 0 && filled < bytes.length; filled += got) {
        got = (await handle.read(bytes, filled, bytes.length - filled)).bytesRead;
      }
      return bytes.toString("utf8", 0, filled);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new AppError("INPUT_INVALID", `the task file ${file} cannot be read`, { cause });
  }
}

function linesOf({ file, problems }: Checked): string[] {
  const lines = problems.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  // Names and messages carry what the file says: one line each, whatever stands in them.
  return (lines.length === 0 ? [`${file}: good`] : lines).map((line) => toTerminal(line.replaceAll("\n", " ")));
}
