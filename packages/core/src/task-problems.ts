import { type Ceiling, refuseLabel, refuseTask, taskDefaults } from "./ceiling.ts";
import { optionPlaces, parseTaskFile, resolveTask, taskPath } from "./task-file.ts";

/** What is wrong with a task file, and where. `message` may quote the file. */
export interface TaskProblem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

const TOP = { line: 1, column: 1 };

/**
 * Everything for which no run of this file would start: its name, its mistakes, and what the operator does not allow, in the
 * words of a refused run. Pure, never throws. Bound: limits.taskBytesMax of `text`.
 *
 * @param name The file's own name, without folders.
 * @param terms Null where the operator's settings are not known.
 */
export function taskProblems(
  name: string,
  text: string,
  terms: { readonly ceiling: Ceiling; readonly modelDefault: string } | null,
): TaskProblem[] {
  return [...nameProblems(name), ...textProblems(text), ...(terms === null ? [] : beyondCeiling(name, text, terms))];
}

function nameProblems(name: string): TaskProblem[] {
  if (!name.endsWith(".md")) {
    return [{ ...TOP, message: "the file's name does not end with .md: no label leads to it" }];
  }
  const path = taskPath(name.slice(0, -".md".length));
  return path.ok ? [] : [{ ...TOP, message: `no label leads to this file: its name ${path.reason}` }];
}

function textProblems(text: string): TaskProblem[] {
  const read = parseTaskFile(text);
  return read.ok ? [] : read.problems.map(({ line, column, message }) => ({ line, column, message }));
}

/** A file with mistakes has those first. */
function beyondCeiling(
  name: string,
  text: string,
  { ceiling, modelDefault }: { readonly ceiling: Ceiling; readonly modelDefault: string },
): TaskProblem[] {
  const label = name.replace(/\.md$/, "");
  const foreign = refuseLabel(label, ceiling);
  const read = parseTaskFile(text);
  const task = read.ok ? resolveTask(label, read.options, taskDefaults(ceiling, modelDefault)) : null;
  const places = optionPlaces(text);
  return [
    ...(foreign === null ? [] : [{ ...TOP, message: foreign }]),
    ...(task === null ? [] : refuseTask(task, ceiling)).map(({ option, detail }) => {
      const { line, column } = places.get(option) ?? TOP;
      return { line, column, message: detail };
    }),
  ];
}
