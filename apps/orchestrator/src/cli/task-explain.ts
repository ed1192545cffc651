import { basename } from "node:path";
import {
  AppError,
  type Config,
  explainTask,
  isAppError,
  isFork,
  parsePullAddress,
  pullName,
  type TaskExplanation,
  toTerminal,
} from "@mayfly/core";
import { statusOf } from "../github/app.ts";
import { createPersonsGitHub } from "../github/person.ts";
import { type PullInPrompt, readPullInPrompt } from "../github/pull-in-prompt.ts";
import { createPullRequestReader } from "../github/pull-requests.ts";
import { createLog } from "../host/log.ts";
import { loadSettings } from "./settings.ts";
import { readTaskText } from "./task-text.ts";
import type { Terminal } from "./terminal.ts";

export interface TaskExplainFlags {
  readonly label?: string;
  readonly config?: string;
  readonly fork?: boolean;
  readonly pr?: string;
  readonly json?: boolean;
}

const VALUE_CHARS_MAX = 160;
const EXAMPLE = "an example pull request, which is made up";
/** As GitHub's own command line and its workflows have them. */
const TOKENS = ["GITHUB_TOKEN", "GH_TOKEN"] as const;

/**
 * `mayfly task explain`: what a run of this task would be. Runs nothing; asks nobody, or GitHub with the person's own token
 * what a pull request is like. Ends with 0, or with 1 if the run would be refused. Throws INPUT_INVALID for a file that cannot be
 * read and a pull request that is not there, CONFIG_INVALID for settings that are not valid, GITHUB_UNAVAILABLE, GITHUB_REFUSED.
 * Bound: limits.taskBytesMax.
 */
export async function taskExplain(terminal: Terminal, file: string, flags: TaskExplainFlags): Promise<number> {
  const { policy, model, github } = loadSettings(terminal, { config: flags.config });
  const label = flags.label ?? basename(file, ".md");
  const text = await readTaskText(file);
  const known = flags.pr === undefined ? null : await readPull(terminal, flags, github);
  const fork = known?.fork ?? flags.fork === true;
  const explained = explainTask({
    label,
    text,
    ceiling: policy,
    modelDefault: model.default,
    fork,
    ...(known === null ? {} : { pull: known.pull }),
  });
  const promptFor = known?.name ?? EXAMPLE;
  const said =
    flags.json === true
      ? JSON.stringify({ ok: explained.refusals.length === 0, file, label, fork, promptFor, ...explained })
      : linesOf({ file, label, promptFor, notes: known?.notes ?? [] }, explained).join("\n");
  terminal.stdout(`${said}\n`);
  return explained.refusals.length === 0 ? 0 : 1;
}

/** A pull request as GitHub shows it to whoever asks here. */
interface KnownPull {
  readonly name: string;
  readonly fork: boolean;
  readonly pull: PullInPrompt;
  /** What a run would meet there besides. */
  readonly notes: readonly string[];
}

async function readPull(
  terminal: Terminal,
  { pr = "", fork }: TaskExplainFlags,
  { url, webUrl }: Config["github"],
): Promise<KnownPull> {
  const address = parsePullAddress(pr);
  if (address === null) {
    throw new AppError(
      "INPUT_INVALID",
      `--pr wants the address of a pull request, such as https://github.com/OWNER/NAME/pull/7 or OWNER/NAME#7, not "${pr}"`,
    );
  }
  if (fork === true) {
    throw new AppError(
      "INPUT_INVALID",
      "--fork is for a made-up pull request: with --pr GitHub says whether it is from one",
    );
  }
  const host = new URL(webUrl).hostname;
  if (address.host !== null && address.host !== host) {
    throw new AppError(
      "INPUT_INVALID",
      `--pr: ${pullName(address)} is on ${address.host}, and these settings are for ${host} (github.url, MAYFLY_GITHUB_URL)`,
    );
  }
  const variable = TOKENS.find((one) => (terminal.env[one] ?? "") !== "") ?? null;
  const token = variable === null ? null : (terminal.env[variable] ?? null);
  const { owner, name, number } = address;
  const app = createPersonsGitHub({ url, token, log: createLog({ level: "silent" }).log });
  const place = { installation: 0, repository: { id: 0, owner, name } };
  const found = await createPullRequestReader(app)
    .reading(place, async (reading) => {
      const pull = await reading.pullRequest(number);
      return pull === null ? null : { pull, told: await readPullInPrompt(reading, { owner, name }, pull) };
    })
    .catch((error: unknown) => {
      throw withToken(error, variable);
    });
  if (found === null) {
    const whose = variable === null ? "without a token" : `with the token in ${variable}`;
    throw new AppError(
      "INPUT_INVALID",
      `--pr: GitHub shows no pull request ${pullName(address)} ${whose}: check the number; a private repository wants a token in GITHUB_TOKEN that may read it`,
    );
  }
  return {
    name: pullName(address),
    fork: isFork(found.pull),
    pull: found.told,
    notes: found.pull.state === "open" ? [] : ["The pull request is closed: a label starts nothing there."],
  };
}

/** GitHub's refusal of a person's token, or of people without one, with what to do about it. The token is in none of it. */
function withToken(error: unknown, variable: string | null): unknown {
  const isRefused = isAppError(error, "GITHUB_REFUSED") && statusOf(error.cause) === 401;
  if (isRefused) {
    const why =
      variable === null ? "GitHub wants a token: set GITHUB_TOKEN" : `GitHub does not take the token in ${variable}`;
    return new AppError("INPUT_INVALID", `--pr: ${why}`, { cause: error });
  }
  return error;
}

function linesOf(
  about: { file: string; label: string; promptFor: string; notes: readonly string[] },
  explained: TaskExplanation,
): string[] {
  const { file, label, promptFor, notes } = about;
  const { options, refusals, starters, prompt } = explained;
  return [
    oneLine(`The task ${label}, of ${file}`),
    ...notes.map(oneLine),
    ...section(
      "Options",
      options.map(({ option, value, from }) => `${option}: ${written(value)} (${from})`),
    ),
    ...section("Who may start it", starters),
    ...section("Refused", refusals.length === 0 ? ["nothing of this task"] : refusals),
    ...(prompt === null
      ? []
      : ["", oneLine(`The prompt as Codex would get it, for ${promptFor}:`), "", toTerminal(prompt.trimEnd())]),
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
