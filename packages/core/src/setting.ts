import { z } from "zod";

/** Values of a setting that is a list: beyond this a file was pasted by mistake. */
export const LIST_MAX = 1_000;
/** The longest address or path that anybody sets. */
const TEXT_CHARS_MAX = 1_024;

/** What a setting's schema carries besides its rules: one place for its environment name and its meaning. */
interface SettingMeta {
  readonly environment: string;
  readonly description: string;
  /** Said in words where the default depends on other settings. */
  readonly defaultText?: string;
}

/** One setting as the tables and the documentation list it. */
export interface SettingRow {
  /** As in the file, with dots between the levels. */
  readonly key: string;
  readonly environment: string;
  /** `amount`: a number, also a broken one, or a word. `table`: names with values, written as YAML or JSON. */
  readonly kind: "text" | "number" | "amount" | "boolean" | "list" | "table";
  readonly isSecret: boolean;
  readonly defaultText: string;
  readonly description: string;
}

/** Marks a schema as one setting. Call it last: what is wrapped around it later hides the mark. */
export function setting<T extends z.ZodType>(meta: SettingMeta, schema: T): T {
  return schema.describe(meta.description).meta({ ...meta });
}

/** Any text but none. */
export const Text = z.string().min(1).max(TEXT_CHARS_MAX);

/** One value at least. */
export function listOf<T extends z.ZodType<string>>(item: T): z.ZodArray<T> {
  return z.array(item).min(1).max(LIST_MAX);
}

/** A setting in whole numbers. One message for every way to miss it. */
export function wholeNumber(min: number, max: number): z.ZodInt {
  const range = max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : ` from ${min} to ${max}`;
  return z.int(`must be a whole number${range}`).min(min).max(max);
}

/** The settings of a nest of objects, in its order. */
export function settingRows(schema: z.ZodType, secretKeys: readonly string[], prefix = ""): SettingRow[] {
  const inner = innermost(schema);
  if (!(inner instanceof z.ZodObject)) {
    return [rowOf(schema, prefix, secretKeys.includes(prefix))];
  }
  return Object.entries(inner.shape).flatMap(([name, part]) => {
    return settingRows(part as z.ZodType, secretKeys, prefix === "" ? name : `${prefix}.${name}`);
  });
}

function rowOf(schema: z.ZodType, key: string, isSecret: boolean): SettingRow {
  const meta = schema.meta() as Partial<SettingMeta> | undefined;
  if (meta?.environment === undefined || meta.description === undefined) {
    throw new Error(`the setting ${key} has no environment name or no description`);
  }
  const { environment, description } = meta;
  const empty = schema.safeParse(undefined);
  const defaultText = meta.defaultText ?? (empty.success ? written(empty.data) : "");
  return { key, environment, kind: kindOf(schema), isSecret, defaultText, description };
}

function kindOf(schema: z.ZodType): SettingRow["kind"] {
  const inner = innermost(schema);
  if (inner instanceof z.ZodNumber) {
    return "number";
  }
  if (inner instanceof z.ZodBoolean) {
    return "boolean";
  }
  if (inner instanceof z.ZodUnion) {
    return "amount";
  }
  if (inner instanceof z.ZodRecord) {
    return "table";
  }
  return inner instanceof z.ZodArray ? "list" : "text";
}

function innermost(schema: z.ZodType): z.ZodType {
  let inner: z.ZodType = schema;
  while (
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault ||
    inner instanceof z.ZodNullable ||
    inner instanceof z.ZodOptional
  ) {
    inner = inner.unwrap() as z.ZodType;
  }
  return inner;
}

function written(value: unknown): string {
  if (value === null) {
    return "none";
  }
  return Array.isArray(value) ? value.join(", ") : JSON.stringify(value).replace(/^"|"$/g, "");
}
