import { didYouMean } from "./suggestion.ts";

export type CodexArgsResult =
  | { readonly ok: true; readonly args: readonly string[] }
  | { readonly ok: false; readonly problem: string };

/** As many as the assignment carries (protocol.ts). */
const ARGS_MAX = 32;
/** Enough to recognise what was written. */
const SHOWN_CHARS_MAX = 60;
/** Twelve settings and their flags fit many times over. */
const LINE_CHARS_MAX = 8_192;

const oneOf = (...words: string[]): ((value: string) => string | null) => {
  return (value) => (words.includes(value) ? null : `must be ${words.join(", ").replace(/, ([^,]*)$/, " or $1")}`);
};
const wholeNumber = (min: number, max: number): ((value: string) => string | null) => {
  return (value) =>
    /^[0-9]{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max
      ? null
      : `must be a whole number from ${min} to ${max}`;
};

/**
 * Settings that change how Codex talks and how much it reads, and nothing about where it may reach or what it may
 * run. Each was accepted by codex 0.169.0 with --strict-config.
 */
const settings: Readonly<Record<string, (value: string) => string | null>> = {
  model_verbosity: oneOf("low", "medium", "high"),
  model_reasoning_summary: oneOf("auto", "concise", "detailed", "none"),
  hide_agent_reasoning: oneOf("true", "false"),
  show_raw_agent_reasoning: oneOf("true", "false"),
  tool_output_token_limit: wholeNumber(100, 100_000),
  model_context_window: wholeNumber(1_000, 10_000_000),
  model_auto_compact_token_limit: wholeNumber(1_000, 10_000_000),
};

/** Settings that an option of the task file stands for. */
const settingOptions: Readonly<Record<string, string>> = {
  model: "model",
  model_reasoning_effort: "effort",
  sandbox_mode: "sandbox",
};

const colors = oneOf("always", "never", "auto");

const allowedFlags = ["--config", "-c", "--color"] as const;

const OWN = "Mayfly sets it itself";
const LOOSER = "it would loosen how Codex is confined";
const OUTSIDE = "it would reach outside the run's own source and settings";

/** Flags of `codex exec` that are refused, and why. A flag in neither table is refused as unknown. */
const refusedFlags: Readonly<Record<string, string>> = {
  "--model": "use the option `model`",
  "-m": "use the option `model`",
  "--sandbox": "use the option `sandbox`",
  "-s": "use the option `sandbox`",
  "--cd": "use the option `working-directory`",
  "-C": "use the option `working-directory`",
  "--output-schema": "use the option `output-schema`",
  "--output-last-message": OWN,
  "-o": OWN,
  "--json": OWN,
  "--experimental-json": OWN,
  "--ephemeral": OWN,
  "--skip-git-repo-check": OWN,
  "--ignore-user-config": OWN,
  "--ignore-rules": OWN,
  "--strict-config": OWN,
  "--enable": OWN,
  "--disable": OWN,
  "--dangerously-bypass-approvals-and-sandbox": LOOSER,
  "--dangerously-bypass-hook-trust": LOOSER,
  "--yolo": LOOSER,
  "--not-so-yolo": LOOSER,
  "--full-auto": LOOSER,
  "--approve-for-me": LOOSER,
  "--trust": LOOSER,
  "--add-dir": LOOSER,
  "--image": OUTSIDE,
  "-i": OUTSIDE,
  "--oss": OUTSIDE,
  "--local-provider": OUTSIDE,
  "--profile": OUTSIDE,
  "-p": OUTSIDE,
  "--worktree": OUTSIDE,
  "--thread-source": OUTSIDE,
};

/**
 * Checks `codex-args` against a closed list and writes them out anew: what comes back was built here, not copied.
 * As in codex-action, a text that begins with `[` is a JSON list; other text is split at spaces, with quotes. Never throws.
 */
export function parseCodexArgs(value: string | readonly string[]): CodexArgsResult {
  const words = typeof value === "string" ? wordsOf(value) : value;
  if (typeof words === "string") {
    return { ok: false, problem: words };
  }
  if (words.length > ARGS_MAX) {
    return { ok: false, problem: `there are ${words.length} arguments, and at most ${ARGS_MAX} may be given` };
  }
  const args: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const { flag, inline } = splitFlag(word);
    const problem = flagProblem(flag);
    if (problem !== null) {
      return { ok: false, problem };
    }
    const argument = inline ?? words[++i];
    if (argument === undefined) {
      return { ok: false, problem: `${flag} needs a value` };
    }
    const built = flag === "--color" ? color(argument) : setting(argument);
    if (!built.ok) {
      return built;
    }
    args.push(...built.args);
  }
  return args.length > ARGS_MAX
    ? { ok: false, problem: `at most ${ARGS_MAX / 2} settings may be given` }
    : { ok: true, args };
}

function splitFlag(word: string): { flag: string; inline: string | null } {
  const equals = word.indexOf("=");
  return word.startsWith("--") && equals > 0
    ? { flag: word.slice(0, equals), inline: word.slice(equals + 1) }
    : { flag: word, inline: null };
}

function flagProblem(flag: string): string | null {
  if ((allowedFlags as readonly string[]).includes(flag)) {
    return null;
  }
  const shown = show(flag);
  if (Object.hasOwn(refusedFlags, flag)) {
    return `${shown} may not be given: ${refusedFlags[flag]}; allowed are --config and --color`;
  }
  if (!flag.startsWith("-")) {
    return `${shown} is not a flag: the prompt stands below the front matter; allowed are --config and --color`;
  }
  const known = [...allowedFlags, ...Object.keys(refusedFlags)];
  return `${shown} is not in the list of allowed flags${didYouMean(flag, known)}; allowed are --config and --color`;
}

function color(value: string): CodexArgsResult {
  const problem = colors(value);
  return problem === null
    ? { ok: true, args: ["--color", value] }
    : { ok: false, problem: `--color ${problem}, not ${show(value)}` };
}

function setting(argument: string): CodexArgsResult {
  const equals = argument.indexOf("=");
  if (equals < 1) {
    return { ok: false, problem: `--config needs name=value, not ${show(argument)}` };
  }
  const name = argument.slice(0, equals).trim();
  const value = unquote(argument.slice(equals + 1).trim());
  const option = Object.hasOwn(settingOptions, name) ? settingOptions[name] : undefined;
  if (option !== undefined) {
    return { ok: false, problem: `--config ${name} may not be given: use the option \`${option}\`` };
  }
  const check = Object.hasOwn(settings, name) ? settings[name] : undefined;
  if (check === undefined) {
    const names = Object.keys(settings);
    const message = `--config ${show(name)} is not in the list of allowed settings${didYouMean(name, names)}`;
    return { ok: false, problem: `${message}; allowed are ${names.join(", ")}` };
  }
  const problem = check(value);
  return problem === null
    ? { ok: true, args: ["--config", `${name}=${value}`] }
    : { ok: false, problem: `--config ${name} ${problem}, not ${show(value)}` };
}

/** TOML allows quotes around a text; the value that goes on has none. */
function unquote(value: string): string {
  return /^"[^"\\]*"$/.test(value) || /^'[^']*'$/.test(value) ? value.slice(1, -1) : value;
}

/** The words of a line, or what is wrong with it. */
function wordsOf(line: string): readonly string[] | string {
  if (line.length > LINE_CHARS_MAX) {
    return `this is longer than ${LINE_CHARS_MAX} characters`;
  }
  return line.trimStart().startsWith("[") ? jsonWords(line) : splitWords(line);
}

function jsonWords(line: string): readonly string[] | string {
  try {
    const list: unknown = JSON.parse(line);
    if (Array.isArray(list) && list.every((word) => typeof word === "string")) {
      return list;
    }
  } catch {
    // Falls through to the one message for both: it is not a JSON list of texts.
  }
  return "this begins like a JSON list, but is not a JSON list of texts";
}

/** Spaces part words; single and double quotes keep them together. Nothing is expanded, and a backslash is itself. */
function splitWords(line: string): readonly string[] | string {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (const char of line) {
    if (quote !== "") {
      if (char === quote) {
        quote = "";
      } else {
        word += char;
      }
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (/\s/.test(char)) {
      if (word !== null) {
        words.push(word);
      }
      word = null;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quote !== "") {
    return `a quote (${quote}) is opened but not closed`;
  }
  return word === null ? words : [...words, word];
}

/** As it may stand in a message: short, on one line, nothing hidden in it. */
function show(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN_CHARS_MAX).replace(/[^\x20-\x7e]/g, "?"));
}
