import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { configDocs, type EndingCode, endingTexts, faults, type Outcome } from "@mayfly/core";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A page of docs/reference that is written from the code. */
export interface GeneratedFile {
  /** Relative to the repository's root. */
  readonly path: string;
  readonly text: string;
}

/** Every generated page as it should stand now, formatted as the whole repository is. */
export function generatedFiles(): GeneratedFile[] {
  const pages = {
    "docs/reference/configuration.md": configDocs(),
    "docs/reference/errors.md": errorsPage(),
    "docs/reference/endings.md": endingsPage(),
  };
  return Object.entries(pages).map(([path, text]) => ({ path, text: formatted(path, text) }));
}

/** How a run comes to an ending of this kind, in the order of a run's life. */
const groups = {
  policy: {
    title: "Refused before it began",
    how: "Policy is asked when the label arrives. A run that is refused never waits for a machine.",
  },
  queue: { title: "Ended while it waited", how: "The source or a machine could not be had." },
  attempt: { title: "Ended by its attempt", how: "Codex, the agent or the machine decided how the run ended." },
  person: {
    title: "Ended from outside",
    how: "A person, a push, a newer run or an operator ended the run. Its machine is destroyed first.",
  },
  publishing: { title: "Ended while it was published", how: "The machine was gone already." },
} as const;

/** Each code's group, and the outcomes it comes with. Complete by its type. */
const endings: Record<EndingCode, { readonly group: keyof typeof groups; readonly outcomes: readonly Outcome[] }> = {
  task_missing: { group: "policy", outcomes: ["refused"] },
  task_invalid: { group: "policy", outcomes: ["refused"] },
  actor_lacks_write: { group: "policy", outcomes: ["refused"] },
  bot_not_allowed: { group: "policy", outcomes: ["refused"] },
  fork_head_fresh: { group: "policy", outcomes: ["refused"] },
  not_allowed: { group: "policy", outcomes: ["refused"] },
  source_failed: { group: "queue", outcomes: ["failed"] },
  source_too_big: { group: "queue", outcomes: ["failed"] },
  no_machine: { group: "queue", outcomes: ["failed"] },
  answered: { group: "attempt", outcomes: ["succeeded"] },
  codex_failed: { group: "attempt", outcomes: ["failed"] },
  answer_missing: { group: "attempt", outcomes: ["failed"] },
  gate_failed: { group: "attempt", outcomes: ["failed"] },
  agent_failed: { group: "attempt", outcomes: ["failed"] },
  deadline: { group: "attempt", outcomes: ["timed_out"] },
  machine_lost: { group: "attempt", outcomes: ["lost"] },
  result_missing: { group: "attempt", outcomes: ["lost"] },
  label_removed: { group: "person", outcomes: ["cancelled"] },
  closed: { group: "person", outcomes: ["cancelled"] },
  operator: { group: "person", outcomes: ["cancelled"] },
  installation_gone: { group: "person", outcomes: ["cancelled"] },
  pushed: { group: "person", outcomes: ["superseded"] },
  newer_run: { group: "person", outcomes: ["superseded"] },
  answer_withheld: { group: "publishing", outcomes: ["failed"] },
  publish_failed: { group: "publishing", outcomes: ["failed"] },
};

function errorsPage(): string {
  return [
    "# Errors",
    "",
    "<!-- Written from packages/core/src/errors.ts by `npm run docs`. Do not edit it by hand. -->",
    "",
    "Every fault that Mayfly raises has one of these codes. The command line prints what happened, what to do, and the",
    "cause, and ends with the exit code. The control socket answers with the HTTP status. A fault that is marked as one",
    "to try again is taken again by the service itself; elsewhere it is worth another try by hand.",
    "",
    "A mistake in what was typed ends with exit code 2 as well. Anything that is no fault of this table is a bug of",
    "ours; the command line says so and ends with exit code 1.",
    "",
    "| Code | Exit code | HTTP status | Try again | What to do |",
    "| --- | --- | --- | --- | --- |",
    ...Object.entries(faults).map(([code, { exit, status, retryable, fix }]) =>
      row([`\`${code}\``, String(exit), String(status), retryable ? "yes" : "no", fix]),
    ),
    "",
  ].join("\n");
}

function endingsPage(): string {
  return [
    "# Endings",
    "",
    "<!-- Written from packages/core/src/ending.ts by `npm run docs`. Do not edit it by hand. -->",
    "",
    "Every run ends with one outcome and one code. Both stand in the receipt. The title and what to do stand in the",
    "comment and the check on the pull request.",
    "",
    ...Object.entries(groups).flatMap(([name, { title, how }]) => [
      `## ${title}`,
      "",
      how,
      "",
      "| Code | Outcome | What a person reads | What to do |",
      "| --- | --- | --- | --- |",
      ...endingRows(name),
      "",
    ]),
  ].join("\n");
}

function endingRows(group: string): string[] {
  return Object.entries(endings).flatMap(([code, ending]) => {
    const { title, fix } = endingTexts[code as EndingCode];
    const outcomes = ending.outcomes.map((outcome) => `\`${outcome}\``).join(", ");
    return ending.group === group ? [row([`\`${code}\``, outcomes, title, fix === "" ? "nothing" : fix])] : [];
  });
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}

function formatted(path: string, text: string): string {
  return execFileSync(`${root}/node_modules/.bin/oxfmt`, [`--stdin-filepath=${path}`], {
    cwd: root,
    input: text,
    encoding: "utf8",
    env: { PATH: `${root}/node_modules/.bin:/usr/bin:/bin` },
  });
}
