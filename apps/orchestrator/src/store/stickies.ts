import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** A pull request goes quiet long before that. */
const KEEP_SECONDS = 90 * 24 * 3600;

/** Which comment of ours is the sticky one. Without it a comment is found again by its marker. */
export interface StickyStore {
  get(name: string): Promise<number | null>;
  set(name: string, comment: number): Promise<void>;
}

export function createStickyStore(deps: { redis: Redis; prefix: string }): StickyStore {
  const { redis, prefix } = deps;
  return {
    async get(name) {
      const value = await asking(() => redis.get(`${prefix}sticky:${name}`));
      return value === null ? null : Number(value);
    },
    async set(name, comment) {
      await asking(() => redis.set(`${prefix}sticky:${name}`, comment, "EX", KEEP_SECONDS));
    },
  };
}
