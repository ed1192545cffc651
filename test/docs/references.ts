import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  type Budgets,
  budgetScopes,
  configDocs,
  type EndingCode,
  endingTexts,
  faults,
  modelRefusals,
  type Outcome,
  outputRules,
  type RuleAct,
  textRules,
  taskSchema,
} from "@mayfly/core";
import { configTable } from "@mayfly/core/config-schema";
import { Refusal } from "../../apps/orchestrator/src/broker/refusal.ts";
import { defences } from "../attack/defences.ts";
import { rows } from "../attack/registry.ts";
import type { Needs } from "../attack/row.ts";
import { NO_CONTROL } from "../attack/rows/untried.ts";

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
    "docs/reference/model-refusals.md": modelRefusalsPage(),
    "docs/reference/output-rules.md": outputRulesPage(),
    "docs/reference/attacks.md": attacksPage(),
    "docs/reference/task.schema.json": JSON.stringify(taskSchema),
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
  task_off: { group: "policy", outcomes: ["refused"] },
  task_invalid: { group: "policy", outcomes: ["refused"] },
  actor_lacks_write: { group: "policy", outcomes: ["refused"] },
  bot_not_allowed: { group: "policy", outcomes: ["refused"] },
  fork_head_fresh: { group: "policy", outcomes: ["refused"] },
  fork_gone: { group: "policy", outcomes: ["refused"] },
  not_allowed: { group: "policy", outcomes: ["refused"] },
  source_failed: { group: "queue", outcomes: ["failed"] },
  source_too_big: { group: "queue", outcomes: ["failed"] },
  no_machine: { group: "queue", outcomes: ["failed"] },
  answered: { group: "attempt", outcomes: ["succeeded"] },
  codex_failed: { group: "attempt", outcomes: ["failed"] },
  answer_missing: { group: "attempt", outcomes: ["failed"] },
  setup_failed: { group: "attempt", outcomes: ["failed"] },
  gate_failed: { group: "attempt", outcomes: ["failed"] },
  agent_failed: { group: "attempt", outcomes: ["failed"] },
  deadline: { group: "attempt", outcomes: ["timed_out"] },
  machine_lost: { group: "attempt", outcomes: ["lost"] },
  result_missing: { group: "attempt", outcomes: ["lost"] },
  cancel_asked: { group: "person", outcomes: ["cancelled"] },
  label_removed: { group: "person", outcomes: ["cancelled"] },
  closed: { group: "person", outcomes: ["cancelled"] },
  operator: { group: "person", outcomes: ["cancelled"] },
  installation_gone: { group: "person", outcomes: ["cancelled"] },
  pushed: { group: "person", outcomes: ["superseded"] },
  drafted: { group: "person", outcomes: ["cancelled"] },
  base_changed: { group: "person", outcomes: ["superseded"] },
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

/** What a model call may meet whatever it asks, in the order in which it is looked at. */
const otherRefusals = [
  "LENGTH_REQUIRED",
  "BODY_TOO_BIG",
  "NOT_JSON",
  "BUSY",
  "KEY_INVALID",
  "ENDED",
  "MODEL_PAUSED",
  "CREDENTIAL_REFUSED",
  "MODEL_UNREACHABLE",
  "MODEL_ANSWER_INVALID",
  "UNAVAILABLE",
] as const;

const budgetColumns = ["requests", "input_tokens", "output_tokens", "usd"] as const;

/** Whose each budget is. Complete by its type. */
const whose: Record<keyof Budgets, string> = {
  attempt: "one attempt of a run",
  run: "a run, over all its attempts",
  repository_day: "a repository, in a day (UTC)",
  installation_day: "a GitHub account, in a day (UTC)",
};

function modelRefusalsPage(): string {
  return [
    "# Refused model calls",
    "",
    "<!-- Written from packages/core/src/model-request/refusal.ts, apps/orchestrator/src/broker/refusal.ts and",
    "packages/core/src/budget-settings.ts by `npm run docs`. Do not edit it by hand. -->",
    "",
    "Why the broker refuses a model call of a machine. Codes are stable. The comment, the check and the receipt of a run",
    "count by code the calls that were refused for what they ask, for a budget, for a credential or for a pause.",
    "[Model credentials and budgets](../guides/model-credentials.md) says more.",
    "",
    "## For what they ask",
    "",
    "The answer has status 400, and says which field by a path of our own names. Codex shows it and stops.",
    "",
    "| Code | Meaning |",
    "| --- | --- |",
    ...Object.entries(modelRefusals).map(([code, words]) => row([`\`${code}\``, words])),
    "",
    "## For whatever else",
    "",
    "| Code | HTTP status | Meaning |",
    "| --- | --- | --- |",
    ...otherRefusals.map((code) => {
      const { status, message } = new Refusal(code);
      return row([`\`${code}\``, String(status), message]);
    }),
    row([
      "`BUDGET_SPENT`",
      "400",
      "a budget below is spent, or leaves fewer than 16 tokens for an answer; the message says which, of what, and its limit",
    ]),
    "",
    "## Budgets",
    "",
    "The limits where nobody set others. A call is let in while every counter is below its limit.",
    "",
    "| Setting | Whose | Model calls | Input tokens | Output tokens | US dollars |",
    "| --- | --- | --- | --- | --- | --- |",
    ...budgetScopes.map((scope) =>
      row([
        `\`budgets.${scope}\``,
        whose[scope],
        ...budgetColumns.map(
          (kind) => configTable.find(({ key }) => key === `budgets.${scope}.${kind}`)?.defaultText ?? "",
        ),
      ]),
    ),
    "",
  ].join("\n");
}

const acts: Record<RuleAct, string> = {
  removed: "a part of the text is left out",
  rewritten: "a part is written so that it does nothing",
  withheld: "all of it stays away",
  refused: "it is not taken, or there is no way to ask for it",
};

function outputRulesPage(): string {
  const all = Object.entries(outputRules);
  const isOfText = ([code]: (typeof all)[number]) => Object.hasOwn(textRules, code);
  const tableOf = (rules: typeof all) => [
    "| Code | Act | Rule |",
    "| --- | --- | --- |",
    ...rules.map(([code, { act, words }]) => row([`\`${code}\``, act, words])),
    "",
  ];
  return [
    "# Rules for what is published",
    "",
    "<!-- Written from packages/core/src/safe-output/rules.ts by `npm run docs`. Do not edit it by hand. -->",
    "",
    "What a machine returns is hostile text. It is published only by these rules. Codes are stable. What a rule does:",
    "",
    ...Object.entries(acts).map(([act, words]) => `- ${act}: ${words}.`),
    "",
    "## For a text",
    "",
    "The comment and the check say how often each of these applied.",
    "",
    ...tableOf(all.filter(isOfText)),
    "## For a result",
    "",
    ...tableOf(all.filter((rule) => !isOfText(rule))),
  ].join("\n");
}

const needs: Record<Needs, string> = {
  nothing: "nothing",
  redis: "a Redis",
  service: "the service",
  machine: "a machine that boots",
};

function attacksPage(): string {
  const tried = rows.filter(({ control }) => control !== NO_CONTROL);
  const untried = rows.filter(({ control }) => control === NO_CONTROL);
  return [
    "# Attacks",
    "",
    "<!-- Written from test/attack/registry.ts and test/attack/defences.ts by `npm run docs`. Do not edit it by hand. -->",
    "",
    "What `npm run attack` tries. Every row has a control: something that must be noticed, or the row has not held. Then",
    "each defence below is switched off in a copy of the source, and the row must notice.",
    "[SECURITY.md](../../SECURITY.md#threat-register) says what stands against each, and what is left.",
    "",
    "| Row | What is tried | Needs | What shows that it can fail | Defences switched off |",
    "| --- | --- | --- | --- | --- |",
    ...tried.map(({ id, attack, needs: need, control, undefended = "none" }) => {
      const without = defences.filter((defence) => defence.row === id).map(({ name }) => name);
      return row([id, attack, needs[need], control, without.length === 0 ? undefended : without.join("; ")]);
    }),
    "",
    ...(untried.length === 0
      ? []
      : [
          "## Not tried",
          "",
          "Rows of the register that no program tries. `npm run attack` says of each why.",
          "",
          "| Row | Attack |",
          "| --- | --- |",
          ...untried.map(({ id, attack }) => row([id, attack])),
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
