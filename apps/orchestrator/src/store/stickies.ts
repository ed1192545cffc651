import { isRunId, type RunId } from "@mayfly/core";
import type { Redis } from "ioredis";
import { z } from "zod";
import { asking } from "./connection.ts";

/** A pull request goes quiet long before that. */
const KEEP_SECONDS = 90 * 24 * 3600;

/** Whose result a comment shows, and whose it showed before. */
export interface ShownResults {
  readonly run: RunId;
  readonly before: RunId | null;
}

const Shown = z.strictObject({
  run: z.string().refine(isRunId),
  before: z.string().refine(isRunId).nullable(),
});

/** Which comment of ours is the sticky one of a task, and what it shows. Without it a comment is found by its marker. */
export interface StickyStore {
  get(name: string): Promise<number | null>;
  set(name: string, comment: number): Promise<void>;
  /** Null before the first result. */
  results(name: string): Promise<ShownResults | null>;
  setResults(name: string, results: ShownResults): Promise<void>;
}

export function createStickyStore(deps: { redis: Redis; prefix: string }): StickyStore {
  const { redis, prefix } = deps;

  async function keep(key: string, value: string | number): Promise<void> {
    await asking(() => redis.set(`${prefix}${key}`, value, "EX", KEEP_SECONDS));
  }

  return {
    async get(name) {
      const value = await asking(() => redis.get(`${prefix}sticky:${name}`));
      return value === null ? null : Number(value);
    },
    set: (name, comment) => keep(`sticky:${name}`, comment),
    async results(name) {
      const value = await asking(() => redis.get(`${prefix}sticky-results:${name}`));
      return value === null ? null : Shown.parse(JSON.parse(value));
    },
    setResults: (name, results) => keep(`sticky-results:${name}`, JSON.stringify(results)),
  };
}
