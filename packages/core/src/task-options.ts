import { isHostName } from "./host-name.ts";
import { limits } from "./limits.ts";
import { readOutputSchema } from "./output-schema.ts";
import { SafetyStrategy, Sandbox } from "./protocol.ts";
import { didYouMean } from "./suggestion.ts";
import { parseCodexArgs } from "./task-args.ts";
import { type OnDraft, patchModes, type Publish, type TaskSpec } from "./task-spec.ts";

/** What a task file sets; everything else is the service's default. */
export type TaskOptions = Partial<Omit<TaskSpec, "name">>;

/** One option's value as it was understood, or what is wrong with it. */
type Reading = { readonly ok: true; readonly options: TaskOptions } | { readonly ok: false; readonly problem: string };

/** Efforts the CLI (0.169.0) knows; which of them a model takes is for the model to say. */
export const efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"] as const;
export const publications = ["comment", "check", "review", ...patchModes] as const satisfies readonly Publish[];
export const draftChoices = ["cancel", "continue"] as const satisfies readonly OnDraft[];

/** As in the assignment (protocol.ts), and with nothing in it that a shell, a log or a URL could take amiss. */
const MODEL = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;
/** A login, or an App's name without its `[bot]`. Underscores come with managed users. */
const LOGIN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;
/** More names than this belong into a team with write access. */
const NAMES_MAX = 100;
const PATH_CHARS_MAX = 1_024;
/** Shorter and Codex has not even begun. */
const TIMEOUT_MS_MIN = 10_000;
/** A day: what is longer was mistyped. The operator's ceiling is lower. */
const TIMEOUT_MS_MAX = 24 * 60 * 60 * 1_000;

/** Every option of a task file, named as in codex-action where it means the same. */
const readers: Readonly<Record<string, (value: unknown) => Reading>> = {
  enabled: (value) => {
    if (typeof value !== "boolean") {
      return bad("must be true or false");
    }
    return good(value ? {} : { enabled: false });
  },
  model: (value) =>
    typeof value === "string" && MODEL.test(value)
      ? good({ model: value })
      : bad("must be a model's name, such as gpt-5.5"),
  effort: (value) => choice(value, efforts, (effort) => ({ effort })),
  sandbox: (value) => choice(value, Sandbox.options, (sandbox) => ({ sandbox })),
  "safety-strategy": (value) => choice(value, SafetyStrategy.options, (safetyStrategy) => ({ safetyStrategy })),
  "output-schema": readSchema,
  "working-directory": readPath,
  "codex-args": readArgs,
  setup: readSetup,
  network: readNetwork,
  "allow-users": readUsers,
  "allow-bots": readAllowBots,
  "allow-bot-users": readBots,
  publish: readPublish,
  timeout: readTimeout,
  "on-draft": (value) => choice(value, draftChoices, (onDraft) => ({ onDraft })),
};

export const optionNames: readonly string[] = Object.keys(readers);

/** Inputs of codex-action that a task file does not have, and what stands in their place. */
const elsewhere: Readonly<Record<string, string>> = {
  prompt: "the prompt stands below the front matter",
  "prompt-file": "the prompt stands below the front matter",
  "openai-api-key": "the key is the operator's and never leaves the service",
  "responses-api-endpoint": "the model's address is the operator's setting model.url",
  "codex-version": "the version is the machine image's",
  "codex-home": "it belongs to the machine image",
  "codex-user": "it belongs to the machine image",
  "permission-profile": "use `sandbox`",
  "output-file": "the answer is taken from the machine by itself",
  "output-schema-file": "write the schema under `output-schema`",
};

/** Reads one option. Never throws. */
export function readTaskOption(name: string, value: unknown): Reading {
  const reader = Object.hasOwn(readers, name) ? readers[name] : undefined;
  if (reader === undefined) {
    const known = Object.hasOwn(elsewhere, name) ? `: ${elsewhere[name]}` : didYouMean(name, optionNames);
    return bad(`there is no option ${show(name)}${known}`);
  }
  const reading = reader(value);
  return reading.ok ? reading : bad(`${name} ${reading.problem}`);
}

function choice<T extends string>(value: unknown, words: readonly T[], set: (word: T) => TaskOptions): Reading {
  const word = words.find((candidate) => candidate === value);
  if (word !== undefined) {
    return good(set(word));
  }
  const hint = typeof value === "string" ? didYouMean(value, words) : "";
  return bad(`must be ${either(words)}, not ${show(value)}${hint}`);
}

function readSchema(value: unknown): Reading {
  const isMapping = typeof value === "object" && value !== null && !Array.isArray(value);
  const read = readOutputSchema(typeof value === "string" ? value : isMapping ? JSON.stringify(value) : "");
  return read.ok ? good({ outputSchema: JSON.stringify(read.schema) }) : bad(read.problem);
}

function readPath(value: unknown): Reading {
  if (typeof value !== "string" || value.length > PATH_CHARS_MAX) {
    return bad(`must be a path inside the repository, of at most ${PATH_CHARS_MAX} characters`);
  }
  if (/[\p{Cc}\p{Cf}\p{Cs}]/u.test(value)) {
    return bad("must not contain control or invisible characters");
  }
  if (value.startsWith("/")) {
    return bad(`must be relative to the repository's root, not ${show(value)}`);
  }
  const parts = value.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.some((part) => part === ".." || part.toLowerCase() === ".git")) {
    return bad(`must stay inside the repository's files, without \`..\` or \`.git\`, not ${show(value)}`);
  }
  return good({ workingDirectory: parts.join("/") });
}

function readArgs(value: unknown): Reading {
  if (typeof value !== "string" && !isTextList(value)) {
    return bad("must be a text or a list of texts");
  }
  const result = parseCodexArgs(value);
  return result.ok ? good({ codexArgs: result.args }) : bad(`is not allowed: ${result.problem}`);
}

/** One command, or a list of them; a command may have several lines. */
function readSetup(value: unknown): Reading {
  const list = typeof value === "string" ? [value] : value;
  if (!isTextList(list)) {
    return bad("must be a command or a list of commands");
  }
  if (list.length === 0 || list.length > limits.setupCommandsMax) {
    return bad(`must have 1 to ${limits.setupCommandsMax} commands; put more of them into a script of the repository`);
  }
  for (const command of list) {
    if (command.trim() === "" || command.length > limits.setupCommandCharsMax) {
      return bad(`must have commands of 1 to ${limits.setupCommandCharsMax} characters`);
    }
    if (/[\p{Cf}\p{Cs}]|(?![\n\t])\p{Cc}/u.test(command)) {
      return bad("must not contain control or invisible characters");
    }
  }
  return good({ setup: list });
}

/** Names of hosts, without port, pattern or address. */
function readNetwork(value: unknown): Reading {
  const names = namesOf(value);
  if (names === null || names.length === 0 || names.length > limits.setupHostsMax) {
    return bad(`must be a list of 1 to ${limits.setupHostsMax} hosts; without it set-up commands have no network`);
  }
  for (const name of names) {
    if (!isHostName(name)) {
      return bad(
        `must name hosts exactly, in lower case, such as packages.example.com, not ${show(name)}: no port (it is 443), no \`*\`, no address`,
      );
    }
  }
  return good({ network: names });
}

function readUsers(value: unknown): Reading {
  const names = namesOf(value);
  if (names === null) {
    return bad(`must be a list of logins, or logins between commas; at most ${NAMES_MAX}`);
  }
  for (const name of names) {
    if (name.includes("*")) {
      return bad("must name logins: `*` would let everybody who can set a label start runs at your cost");
    }
    if (/\[bot\]$/i.test(name)) {
      return bad(`must name people: put ${show(name)} under allow-bot-users`);
    }
    if (!LOGIN.test(name)) {
      return bad(`must name logins without @, not ${show(name)}`);
    }
  }
  return good({ allowUsers: names });
}

function readBots(value: unknown): Reading {
  const names = namesOf(value)?.map((name) => name.replace(/\[bot\]$/i, ""));
  if (names === undefined) {
    return bad(`must be a list of bots' names, or names between commas; at most ${NAMES_MAX}`);
  }
  for (const name of names) {
    if (name.includes("*")) {
      return bad("must name each bot: `*` would let any App on the repository start runs");
    }
    if (!LOGIN.test(name)) {
      return bad(`must name bots such as dependabot[bot], not ${show(name)}`);
    }
  }
  return good({ allowBotUsers: names });
}

/** codex-action takes true, 1, yes and y. */
function readAllowBots(value: unknown): Reading {
  const word = ["boolean", "number", "string"].includes(typeof value) ? String(value).toLowerCase() : "";
  if (["true", "1", "yes", "y"].includes(word)) {
    return good({ allowBots: true });
  }
  return ["false", "0", "no", "n"].includes(word)
    ? good({ allowBots: false })
    : bad(`must be true or false, not ${show(value)}`);
}

function readPublish(value: unknown): Reading {
  const names = namesOf(value);
  if (names === null || names.length === 0) {
    return bad(`must be a list of at least one of ${publications.join(", ")}`);
  }
  const publish: Publish[] = [];
  for (const name of names) {
    const known = publications.find((candidate) => candidate === name);
    if (known === undefined) {
      return bad(`may name ${either(publications)}, not ${show(name)}${didYouMean(name, publications)}`);
    }
    publish.push(known);
  }
  if (publish.includes("commit") && publish.includes("draft-pull-request")) {
    return bad("may name commit or draft-pull-request, not both: a patch goes one way");
  }
  return good({ publish: [...new Set(publish)] });
}

function readTimeout(value: unknown): Reading {
  const match = typeof value === "string" ? /^([0-9]{1,6})(s|m|h)$/.exec(value) : null;
  if (match === null) {
    return bad(`must be a number and its unit, such as 90s, 30m or 1h, not ${show(value)}`);
  }
  const unitMs = match[2] === "s" ? 1_000 : match[2] === "m" ? 60_000 : 3_600_000;
  const timeoutMs = Number(match[1]) * unitMs;
  return timeoutMs >= TIMEOUT_MS_MIN && timeoutMs <= TIMEOUT_MS_MAX
    ? good({ timeoutMs })
    : bad(`must be from 10s to 24h, not ${show(value)}`);
}

/** A list of texts, or one text with commas as in codex-action; each name once, spaces around it gone. */
function namesOf(value: unknown): string[] | null {
  const list = typeof value === "string" ? value.split(",") : value;
  if (!isTextList(list)) {
    return null;
  }
  const names = [...new Set(list.map((name) => name.trim()).filter((name) => name !== ""))];
  return names.length <= NAMES_MAX ? names : null;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function either(words: readonly string[]): string {
  return words.join(", ").replace(/, ([^,]*)$/, " or $1");
}

/** As it may stand in a message: short, on one line, nothing hidden in it. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 80);
}

function good(options: TaskOptions): Reading {
  return { ok: true, options };
}

function bad(problem: string): Reading {
  return { ok: false, problem };
}
