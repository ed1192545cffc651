import { basename } from "node:path";
import { explainTask, type TaskExplanation, toTerminal } from "@mayfly/core";
import { loadSettings } from "./settings.ts";
import { readTaskText } from "./task-text.ts";
import type { Terminal } from "./terminal.ts";

export interface TaskExplainFlags {
  readonly label?: string;
  readonly config?: string;
  readonly fork?: boolean;
  readonly json?: boolean;
}

const VALUE_CHARS_MAX = 160;
const EXAMPLE = "an example pull request, which is made up";

/**
 * `mayfly task explain`: what a run of this task would be. Runs nothing, asks nobody. Ends with 0, or with 1 if the run
 * would be refused. Throws INPUT_INVALID for a file that cannot be read, CONFIG_INVALID for settings that are not valid.
 * Bound: limits.taskBytesMax.
 */
export async function taskExplain(terminal: Terminal, file: string, flags: TaskExplainFlags): Promise<number> {
  const { policy, model } = loadSettings(terminal, { config: flags.config });
  const label = flags.label ?? basename(file, ".md");
  const text = await readTaskText(file);
  const fork = flags.fork === true;
  const explained = explainTask({ label, text, ceiling: policy, modelDefault: model.default, fork });
  const said =
    flags.json === true
      ? JSON.stringify({ ok: explained.refusals.length === 0, file, label, fork, promptFor: EXAMPLE, ...explained })
      : linesOf(file, label, explained).join("\n");
  terminal.stdout(`${said}\n`);
  return explained.refusals.length === 0 ? 0 : 1;
}

function linesOf(file: string, label: string, explained: TaskExplanation): string[] {
  const { options, refusals, starters, prompt } = explained;
  return [
    oneLine(`The task ${label}, of ${file}`),
    ...section(
      "Options",
      options.map(({ option, value, from }) => `${option}: ${written(value)} (${from})`),
    ),
    ...section("Who may start it", starters),
    ...section("Refused", refusals.length === 0 ? ["nothing of this task"] : refusals),
    ...(prompt === null
      ? []
      : ["", `The prompt as Codex would get it, for ${EXAMPLE}:`, "", toTerminal(prompt.trimEnd())]),
  ];
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", `${title}:`, ...lines.map((line) => oneLine(`  ${line}`))];
}

function written(value: unknown): string {
  const isEmpty = value === null || value === "" || (Array.isArray(value) && value.length === 0);
  return isEmpty ? "none" : cut(typeof value === "string" ? value : JSON.stringify(value));
}

/** A schema is a page of its own: a person sees how it begins. */
function cut(text: string): string {
  return text.length > VALUE_CHARS_MAX
    ? `${text.slice(0, VALUE_CHARS_MAX)}… (${text.length} characters; --json prints all)`
    : text;
}

/** What the file says stays on its line. */
function oneLine(text: string): string {
  return toTerminal(text.replaceAll("\n", " "));
}
