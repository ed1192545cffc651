import type { Clock } from "@mayfly/core";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

const HOUR_MS = 3_600_000;
/** A count is of no use once its hour is over. */
const KEEP_SECONDS = 2 * 3_600;

/** How much every service together has written on GitHub for an installation in the present hour of the clock. */
export interface ContentCount {
  /** Requests that made or changed content. Throws STORE_UNAVAILABLE. */
  used(installation: number): Promise<number>;
  /** One more. Throws STORE_UNAVAILABLE. */
  add(installation: number): Promise<void>;
}

export function createContentCount(deps: { redis: Redis; prefix: string; clock: Clock }): ContentCount {
  const { redis, prefix, clock } = deps;
  const keyOf = (installation: number): string =>
    `${prefix}content:${installation}:${Math.floor(clock.now() / HOUR_MS)}`;
  return {
    async used(installation) {
      return Number((await asking(() => redis.get(keyOf(installation)))) ?? 0);
    },
    async add(installation) {
      const key = keyOf(installation);
      await asking(() => redis.multi().incr(key).expire(key, KEEP_SECONDS).exec());
    },
  };
}
