import type { Problem } from "./strict-yaml.ts";
import { didYouMean } from "./suggestion.ts";

/** Everything a task's prompt may stand for with `{{ … }}`. */
export const variableNames = [
  "number",
  "repository",
  "task",
  "head",
  "base",
  "title",
  "body",
  "author",
  "labels",
  "head-branch",
  "base-branch",
  "changed-files",
  "diff-stat",
  "instructions",
] as const;
export type VariableName = (typeof variableNames)[number];

/** A backslash before it makes it plain text. Never over the end of a line, and no longer than any name could be. */
const REFERENCE = /(\\?)\{\{[ \t]*([^{}\n]{0,100}?)[ \t]*\}\}/g;

/**
 * What is wrong with the variables of a prompt, each with its place in the file.
 *
 * @param lines Of the prompt, in their order.
 * @param firstLine The number of the first of them in its file.
 */
export function variableProblems(lines: readonly string[], firstLine: number): Problem[] {
  return lines.flatMap((line, index) =>
    [...line.matchAll(REFERENCE)].flatMap((found) => {
      const [, escape, name = ""] = found;
      if (escape !== "" || isVariable(name)) {
        return [];
      }
      const message = `there is no variable ${JSON.stringify(name)}${didYouMean(name, variableNames)}; for two braces that stay, write \\{{`;
      return [{ line: firstLine + index, column: found.index + 1, message }];
    }),
  );
}

/** The variables that a prompt refers to. */
export function variablesIn(prompt: string): ReadonlySet<VariableName> {
  const found = [...prompt.matchAll(REFERENCE)].flatMap(([, escape, name = ""]) =>
    escape === "" && isVariable(name) ? [name] : [],
  );
  return new Set(found);
}

/** The prompt with words instead of variables. Whatever the words contain, it is not looked through again. */
export function fillVariables(prompt: string, words: Readonly<Record<VariableName, string>>): string {
  return prompt.replace(REFERENCE, (reference, escape: string, name: string) => {
    if (escape !== "") {
      return reference.slice(escape.length);
    }
    return isVariable(name) ? words[name] : reference;
  });
}

function isVariable(name: string): name is VariableName {
  return (variableNames as readonly string[]).includes(name);
}
