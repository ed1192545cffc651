import { type Ceiling, refuseLabel, refuseTask, span, taskDefaults } from "./ceiling.ts";
import { limits } from "./limits.ts";
import { readTask, rolesWithWrite, TRUSTED_BOT } from "./policy.ts";
import { composePrompt, type PromptPullRequest } from "./prompt.ts";
import type { Place } from "./strict-yaml.ts";
import { optionPlaces, parseTaskFile } from "./task-file.ts";
import { defaultTask, type TaskSpec } from "./task-spec.ts";

/** One option of a run, and why it has this value. */
export interface ExplainedOption {
  readonly option: string;
  readonly value: unknown;
  readonly from: string;
  /** Where the task file sets it; null if it does not. */
  readonly place: Place | null;
}

/** What a run of a task would be. */
export interface TaskExplanation {
  /** Empty for a file with mistakes. */
  readonly options: readonly ExplainedOption[];
  /** In the words of a refused run, which names the first of them. */
  readonly refusals: readonly string[];
  /** Who may start it, in sentences. */
  readonly starters: readonly string[];
  /** For the pull request that was asked about; null if there is none. */
  readonly prompt: string | null;
}

/** Made up: a prompt is shown for it where no pull request is. */
export const examplePullRequest: PromptPullRequest = {
  number: 1,
  repository: "example/shop",
  title: "An example's title",
  body: "An example's description.",
  author: "example-author",
  labels: [],
  files: [{ path: "example.txt", before: null, added: 2, removed: 1 }],
  size: { files: 1, added: 2, removed: 1 },
  head: "1".repeat(40),
  base: "2".repeat(40),
  mergeBase: "2".repeat(40),
  headRef: "example-branch",
  baseRef: "main",
};
/** A run's is its id, which nobody can know beforehand. */
const EXAMPLE_NONCE = "example0example0";

/** Each option by its name in task files, with its field of a task. */
const fields: Readonly<Record<string, keyof TaskSpec>> = {
  enabled: "enabled",
  model: "model",
  effort: "effort",
  sandbox: "sandbox",
  "safety-strategy": "safetyStrategy",
  "output-schema": "outputSchema",
  "working-directory": "workingDirectory",
  "codex-args": "codexArgs",
  setup: "setup",
  network: "network",
  "allow-users": "allowUsers",
  "allow-bots": "allowBots",
  "allow-bot-users": "allowBotUsers",
  publish: "publish",
  timeout: "timeoutMs",
  "on-draft": "onDraft",
};

/**
 * What a run of this task file would be under this ceiling, by the functions that decide about runs. Pure, never throws.
 * Bound: limits.taskBytesMax of `text`; what is longer is refused.
 */
export function explainTask(asked: {
  readonly label: string;
  readonly text: string;
  readonly ceiling: Ceiling;
  readonly modelDefault: string;
  /** True for a pull request whose head lies in another repository. */
  readonly fork: boolean;
  /** What the prompt tells of a pull request; not there for one that is made up, in a repository without AGENTS.md. */
  readonly pull?: Pick<Parameters<typeof composePrompt>[0], "pullRequest" | "agentsFile" | "agentsFileChanged">;
}): TaskExplanation {
  const { label, text, ceiling, modelDefault, fork } = asked;
  const { pull = { pullRequest: { ...examplePullRequest, labels: [label] }, agentsFile: null } } = asked;
  const foreign = refuseLabel(label, ceiling);
  const refusals = foreign === null ? [] : [foreign];
  const file = parseTaskFile(text);
  const read = readTask(label, file, taskDefaults(ceiling, modelDefault));
  if (!read.ok || !file.ok) {
    const detail = read.ok ? [] : [read.ending.detail];
    return { options: [], refusals: [...refusals, ...detail], starters: [], prompt: null };
  }
  const { task } = read;
  const composed = composePrompt({
    ...pull,
    task: file.prompt,
    name: label,
    isStructured: task.outputSchema !== null,
    nonce: EXAMPLE_NONCE,
  });
  return {
    options: explainOptions(task, optionPlaces(text), ceiling),
    refusals: [
      ...refusals,
      ...refuseTask(task, ceiling).map(({ detail }) => detail),
      ...(composed.ok ? [] : [composed.reason]),
    ],
    starters: startersOf(task, fork),
    prompt: composed.ok ? composed.prompt : null,
  };
}

function explainOptions(task: TaskSpec, places: ReadonlyMap<string, Place>, ceiling: Ceiling): ExplainedOption[] {
  return Object.entries(fields).map(([option, field]) => {
    const place = places.get(option) ?? null;
    const value = valueOf(task, field);
    return { option, value, from: sourceOf({ option, task, place, ceiling }), place };
  });
}

function valueOf(task: TaskSpec, field: keyof TaskSpec): unknown {
  switch (field) {
    case "timeoutMs":
      return span(task.timeoutMs);
    case "enabled":
      return task.enabled ?? true;
    case "onDraft":
      return task.onDraft ?? "continue";
    default:
      return task[field] ?? [];
  }
}

function sourceOf(asked: { option: string; task: TaskSpec; place: Place | null; ceiling: Ceiling }): string {
  const { option, task, place, ceiling } = asked;
  if (option === "sandbox" && task.safetyStrategy === "read-only") {
    return "safety-strategy: read-only, which is this sandbox";
  }
  if (place !== null) {
    return `the task file, line ${place.line}`;
  }
  if (option === "output-schema" && task.publish.includes("review")) {
    return "publish: review, which wants an answer of this shape";
  }
  if (option === "model") {
    return "the service's setting model.default (MAYFLY_MODEL)";
  }
  if (option === "timeout" && ceiling.runMsMax < limits.runMsDefault) {
    return "Mayfly's default, lowered to the operator's ceiling policy.run_minutes_max (MAYFLY_RUN_MINUTES_MAX)";
  }
  const { publish } = defaultTask(task.name, task.model);
  if (option === "publish" && publish.some((kind) => !task.publish.includes(kind))) {
    return "Mayfly's default, lowered to the operator's ceiling policy.publications (MAYFLY_PUBLICATIONS)";
  }
  return "Mayfly's default";
}

function startersOf(task: TaskSpec, fork: boolean): string[] {
  const people = `people with the role ${rolesWithWrite.join(", ")}`;
  if (fork) {
    const seconds = limits.forkSettleMs / 1_000;
    return [
      `${people}; on a fork nobody else, whatever allow-users, allow-bots and allow-bot-users say`,
      `not within ${seconds} s after a push to the fork, unless the command names the head`,
    ];
  }
  const bots = [...new Set([...(task.allowBots ? [TRUSTED_BOT] : []), ...task.allowBotUsers])];
  return [
    people,
    ...(task.allowUsers.length === 0 ? [] : [`by a label also, from allow-users: ${task.allowUsers.join(", ")}`]),
    ...(bots.length === 0 ? [] : [`by a label also these bots: ${bots.map((bot) => `${bot}[bot]`).join(", ")}`]),
  ];
}
