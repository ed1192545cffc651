import type { Activity } from "../activity.ts";
import type { LinkScope } from "../safe-output/links.ts";
import { makeSafe } from "../safe-output/make-safe.ts";
import { codeSpan, count, oneLine } from "./text.ts";

const TODO_CHARS_MAX = 120;

/**
 * What Codex set out to do as a checklist, and the commands that it ran, folded. Empty if it said neither. At most some
 * 12,000 characters, and far less as a rule. All texts are hostile and made safe here.
 */
export function renderActivity({ todo, commands }: Activity, scope: LinkScope): string {
  const list = todo.map(({ text, completed }) => `- [${completed ? "x" : " "}] ${todoText(text, scope)}`);
  return [...(list.length === 0 ? [] : ["**Codex's to-do list**", list.join("\n")]), ...commandLines(commands)].join(
    "\n\n",
  );
}

function todoText(text: string, { repository, githubHost }: LinkScope): string {
  const line = oneLine(text, TODO_CHARS_MAX);
  const { markdown } = makeSafe(line, { repository, githubHost, charsMax: 2 * TODO_CHARS_MAX });
  return markdown === "" || markdown.includes("\n") ? codeSpan(line) : markdown;
}

function commandLines(commands: Activity["commands"]): string[] {
  if (commands.length === 0) {
    return [];
  }
  const failed = commands.filter(({ exitCode }) => exitCode !== 0).length;
  const lines = commands.map(({ command, exitCode }) => `- ${codeSpan(withoutShell(command))}: ${ending(exitCode)}`);
  return [
    `<details>\n<summary>Commands it ran: ${count(commands.length)}${failed === 0 ? "" : `, of which ${count(failed)} failed`}</summary>`,
    lines.join("\n"),
    "</details>",
  ];
}

function ending(exitCode: number | null): string {
  return exitCode === null ? "did not end by itself" : exitCode === 0 ? "ok" : `exit code ${exitCode}`;
}

/** The CLI runs everything in a shell of its own, which tells nobody anything: `/bin/bash -lc 'npm test'`. */
function withoutShell(command: string): string {
  const inner = /^(?:\S*\/)?(?:ba|z|da)?sh -l?c ([^]+)$/.exec(command)?.[1];
  return inner === undefined ? command : (/^'([^']*)'$|^"([^"\\$`]*)"$/.exec(inner)?.slice(1).find(Boolean) ?? inner);
}
