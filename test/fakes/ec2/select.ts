/** What all describe calls share: ids, filters and pages. */
import { createHash } from "node:crypto";
import type { Filter } from "@aws-sdk/client-ec2";
import { badCombination, badValue, Ec2Refusal } from "./refusal.ts";
import { type Hidden, isVisible, type Tags, type World } from "./world.ts";

interface Question {
  readonly Filters?: readonly Filter[] | undefined;
  readonly MaxResults?: number | undefined;
  readonly NextToken?: string | undefined;
}

export type Fields<T> = Readonly<Record<string, (thing: T) => readonly string[]>>;

interface Paging<T> {
  readonly min: number;
  readonly max: number;
  /** What a page holds at most, where that is less than may be asked for. */
  readonly pageMax?: number;
  /** Rises along the listing and never changes. */
  ordinalOf(thing: T, index: number): number;
}

// EC2's limit for the values of one filter.
const FILTER_VALUES_MAX = 200;

/** The things with these ids, in their order; throws `code` for one that is unknown or does not show yet. */
export function byIds<T extends Hidden>(
  world: World,
  things: ReadonlyMap<string, T>,
  ids: readonly string[],
  { prefix, code }: { prefix: string; code: string },
): T[] {
  for (const id of ids) {
    if (!new RegExp(`^${prefix}-[0-9a-f]{8,17}$`).test(id)) {
      throw new Ec2Refusal(code.replace("NotFound", "Malformed"), `Invalid id: "${id.slice(0, 100)}"`);
    }
  }
  const found = ids.map((id) => ({ id, thing: things.get(id) }));
  const absent = found.filter(({ thing }) => thing === undefined || !isVisible(world, thing)).map(({ id }) => id);
  if (absent.length > 0) {
    throw new Ec2Refusal(code, `The ID '${absent.slice(0, 10).join(", ")}' does not exist`);
  }
  return found.flatMap(({ thing }) => (thing === undefined ? [] : [thing]));
}

/** Those that every filter takes. Values may hold `*` and `?`. `tag:<key>` and `tag-key` work where there are tags. */
export function filtered<T>(
  things: readonly T[],
  filters: readonly Filter[] | undefined,
  fields: Fields<T>,
  tagsOf: ((thing: T) => Readonly<Tags>) | null,
): T[] {
  const tests = (filters ?? []).map(({ Name: name = "", Values: values = [] }) => {
    const read = readerOf(name, fields, tagsOf);
    if (read === null) {
      throw new Ec2Refusal("InvalidParameterValue", `The filter '${name.slice(0, 100)}' is invalid`);
    }
    if (values.length === 0 || values.length > FILTER_VALUES_MAX) {
      throw badCombination(`The filter '${name.slice(0, 100)}' needs 1 to ${FILTER_VALUES_MAX} values.`);
    }
    const patterns = values.map(patternOf);
    return (thing: T) => read(thing).some((held) => patterns.some((pattern) => pattern.test(held)));
  });
  return things.filter((thing) => tests.every((test) => test(thing)));
}

/** One page of a listing. A token is good for the same question only. */
export function paged<T>(
  things: readonly T[],
  { MaxResults: size, NextToken: token, ...question }: Question,
  { min, max, pageMax = max, ordinalOf }: Paging<NoInfer<T>>,
): { page: T[]; nextToken: string | undefined } {
  if (size !== undefined && (size < min || size > max)) {
    throw badValue("MaxResults", String(size), `It must be between ${min} and ${max}.`);
  }
  const mark = createHash("sha256").update(JSON.stringify(question)).digest("hex").slice(0, 16);
  const after = token === undefined ? -Infinity : readToken(token, mark);
  const left = things
    .map((thing, index) => ({ thing, ordinal: ordinalOf(thing, index) }))
    .filter(({ ordinal }) => ordinal > after);
  const page = left.slice(0, Math.min(size ?? max, pageMax, max));
  const last = page.at(-1);
  const nextToken =
    last === undefined || page.length === left.length
      ? undefined
      : Buffer.from(`${mark}.${last.ordinal}`).toString("base64url");
  return { page: page.map(({ thing }) => thing), nextToken };
}

function readerOf<T>(
  name: string,
  fields: Fields<T>,
  tagsOf: ((thing: T) => Readonly<Tags>) | null,
): ((thing: T) => readonly string[]) | null {
  if (tagsOf !== null && name === "tag-key") {
    return (thing) => Object.keys(tagsOf(thing));
  }
  if (tagsOf !== null && name.startsWith("tag:")) {
    return (thing) => [tagsOf(thing)[name.slice("tag:".length)]].filter((value) => value !== undefined);
  }
  return fields[name] ?? null;
}

function patternOf(value: string): RegExp {
  const escaped = value.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s");
}

function readToken(token: string, mark: string): number {
  const [held, ordinal = ""] = Buffer.from(token, "base64url").toString("utf8").split(".");
  if (held !== mark || !/^[0-9]{1,15}$/.test(ordinal)) {
    throw new Ec2Refusal("InvalidNextToken", "The specified value for NextToken is not valid.");
  }
  return Number(ordinal);
}
