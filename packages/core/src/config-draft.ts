import type { z } from "zod";
import { assertNever } from "./assert.ts";
import { configTable, otherEnvironment } from "./config-schema.ts";
import type { SettingRow } from "./setting.ts";
import { readStrictYaml, type StrictYaml } from "./strict-yaml.ts";
import { nearest } from "./suggestion.ts";

export interface ConfigProblem {
  /** `config.yaml:12:3`, or the name of the environment variable. */
  readonly place: string;
  readonly message: string;
  /** What was probably meant. */
  readonly suggestion: string | null;
}

export interface ConfigSources {
  /** The settings file, if there is one: its name as problems show it, and its text. */
  readonly file?: { readonly name: string; readonly text: string };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Started by root, the service drops to a user of its own: its folders are the system's, not root's home. */
  readonly isRoot?: boolean;
}

/** A part of what the sources say, found again by its path when something is wrong with it. */
export interface ConfigDraft {
  readonly values: Record<string, unknown>;
  readonly yaml: StrictYaml;
  readonly fileName: string;
  /** Settings that came from the environment, by their key. */
  readonly fromEnvironment: Map<string, SettingRow>;
  readonly problems: ConfigProblem[];
}

/** The file's values with the environment's over them. */
export function draftConfig(yaml: StrictYaml, sources: ConfigSources): ConfigDraft {
  const draft: ConfigDraft = {
    values: withoutNulls(yaml.value),
    yaml,
    fileName: sources.file?.name ?? "",
    fromEnvironment: new Map(),
    problems: [],
  };
  overlayEnvironment(draft, sources.environment);
  return draft;
}

/** A copy in which a name without a value, such as a section with all its lines commented out, is not there. */
function withoutNulls(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, isRecord(value) ? withoutNulls(value) : value]),
  );
}

function overlayEnvironment(draft: ConfigDraft, environment: ConfigSources["environment"]): void {
  const names = [...configTable.map((row) => row.environment), ...Object.keys(otherEnvironment)];
  for (const name of Object.keys(environment)) {
    if (name.startsWith("MAYFLY_") && !names.includes(name)) {
      draft.problems.push({
        place: name,
        message: "there is no setting of this name",
        suggestion: nearest(name, names),
      });
    }
  }
  for (const row of configTable) {
    const text = environment[row.environment];
    if (text === undefined || text === "") {
      continue;
    }
    const value = valueOf(row, text);
    if (value === undefined) {
      const message = `${wantedKinds[row.kind]}, not ${shown(row, text)}`;
      draft.problems.push({ place: row.environment, message, suggestion: null });
      continue;
    }
    if (setIn(draft.values, row.key.split("."), value)) {
      draft.fromEnvironment.set(row.key, row);
    }
  }
}

const wantedKinds: Readonly<Record<SettingRow["kind"], string>> = {
  number: "must be a whole number in digits",
  boolean: "must be true or false",
  table: "must be names with values such as {name: value}",
  amount: "must be a number",
  list: "must be a list",
  text: "must be a text",
};
/** A table in one variable. */
const TABLE_CHARS_MAX = 16 * 1_024;

/** Undefined when the text is not of the setting's kind. */
function valueOf(row: SettingRow, text: string): unknown {
  switch (row.kind) {
    case "number":
      return /^(0|-?[1-9][0-9]{0,15})$/.test(text) ? Number(text) : undefined;
    case "boolean":
      return text === "true" ? true : text === "false" ? false : undefined;
    case "list":
      return text
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== "");
    case "amount":
      return /^(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$/.test(text) ? Number(text) : text;
    case "table": {
      const table = readStrictYaml(text, { charsMax: TABLE_CHARS_MAX });
      return table.ok ? withoutNulls(table.yaml.value) : undefined;
    }
    case "text":
      return text;
    default:
      return assertNever(row.kind);
  }
}

/** False where the file has something else than a section: the schema reports that. */
function setIn(values: Record<string, unknown>, path: readonly string[], value: unknown): boolean {
  const [name = "", ...rest] = path;
  if (rest.length === 0) {
    values[name] = value;
    return true;
  }
  const section = (values[name] ??= {});
  return isRecord(section) && setIn(section, rest, value);
}

/** What the schema found, as a person finds it. */
export function problemsOf(draft: ConfigDraft, issue: z.core.$ZodIssue): ConfigProblem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => unknownKey(draft, issue.path, key));
  }
  const key = issue.path.filter((step) => typeof step === "string").join(".");
  const row = configTable.find((candidate) => candidate.key === key);
  const value = valueIn(draft.values, issue.path);
  const isPlain = ["string", "number", "boolean"].includes(typeof value);
  const suffix = row?.isSecret === false && isPlain ? `, not ${shown(row, String(value))}` : "";
  const options = issue.code === "invalid_value" ? issue.values.map(String) : [];
  const message = rule(issue, options);
  return [
    {
      place: placeOf(draft, issue.path, "value"),
      message: `${draft.fromEnvironment.has(key) ? "" : `${key}: `}${message}${suffix}`,
      suggestion: isPlain && row?.isSecret === false ? nearest(String(value), options) : null,
    },
  ];
}

function unknownKey(draft: ConfigDraft, path: readonly PropertyKey[], key: string): ConfigProblem {
  const prefix = path.length === 0 ? "" : `${path.map(String).join(".")}.`;
  const siblings = configTable
    .filter((row) => row.key.startsWith(prefix))
    .map((row) => row.key.slice(prefix.length).split(".")[0] ?? "");
  return {
    place: placeOf(draft, [...path, key], "key"),
    message: `there is no setting ${JSON.stringify(`${prefix}${key}`.slice(0, 100))}`,
    suggestion: nearest(key, [...new Set(siblings)]),
  };
}

/** Where the setting at this path was set. */
export function placeOf(draft: ConfigDraft, path: readonly PropertyKey[], part: "key" | "value"): string {
  for (let length = path.length; length > 0; length--) {
    const row = draft.fromEnvironment.get(path.slice(0, length).map(String).join("."));
    if (row !== undefined) {
      return row.environment;
    }
  }
  const place = draft.yaml.placeOf(path, part);
  return draft.fileName === "" ? "the settings" : `${draft.fileName}:${place.line}:${place.column}`;
}

function valueIn(values: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, step) => {
    return typeof value === "object" && value !== null && Object.hasOwn(value, step)
      ? (value as Record<PropertyKey, unknown>)[step]
      : undefined;
  }, values);
}

/** As it may stand in a message. */
function shown(row: SettingRow, text: string): string {
  return row.isSecret ? "what was given" : JSON.stringify(text.slice(0, 100));
}

function either(words: readonly string[]): string {
  return words.join(", ").replace(/, ([^,]*)$/, " or $1");
}

/** The rule that was broken, as a sentence part. */
function rule(issue: z.core.$ZodIssue, options: readonly string[]): string {
  if (options.length > 0) {
    return `must be ${either(options)}`;
  }
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid input")) {
    const kinds: Readonly<Record<string, string>> = {
      object: "a section of settings",
      array: "a list",
      string: "a text",
    };
    return `must be ${kinds[issue.expected] ?? `a ${issue.expected}`}`;
  }
  return issue.message.replace(/^Too (big|small): /, "").slice(0, 200);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
