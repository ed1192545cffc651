import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** How often a process says that it is there. */
const BEAT_MS = 2_000;
/** Four beats may be lost; whoever is not heard of for so long counts as gone. */
const GONE_MS = 10_000;
/**
 * A process that could not say so for this long gives up what it may do only while others know of it: before they count
 * it as gone, with room for an answer that was late.
 */
const ALONE_MS = 6_000;
/** How often it looks whether that is so. */
const LOOK_MS = 1_000;

/** By the store's clock, so that the hosts' own need not agree. */
const NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)";
const BEAT = `${NOW}
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[2])`;
const PRESENT = `${NOW}
return redis.call('ZRANGEBYSCORE', KEYS[1], now - tonumber(ARGV[1]), '+inf')`;

/** Which processes of a kind there are, on whatever host. */
export interface Presence {
  /** Those that were heard of within GONE_MS. Throws STORE_UNAVAILABLE. */
  present(kind: string): Promise<string[]>;
  /** Says that this one is there: now, and on. Throws STORE_UNAVAILABLE if it cannot be said once. */
  announce(kind: string, name: string, options?: AnnounceOptions): Promise<Announced>;
}

interface AnnounceOptions {
  /** Called, each second, while it could not be said for so long that others may soon count this one as gone. */
  readonly onAlone?: () => void;
}

/** One that is said to be there, until it leaves. */
export interface Announced {
  /** Nobody shall count on it from now on. Never throws. */
  leave(): Promise<void>;
}

export function createPresence(deps: { redis: Redis; prefix: string }): Presence {
  const { redis } = deps;
  const keyOf = (kind: string): string => `${deps.prefix}present:${kind}`;
  return {
    async present(kind) {
      return (await asking(() => redis.eval(PRESENT, 1, keyOf(kind), GONE_MS))) as string[];
    },
    async announce(kind, name, { onAlone } = {}) {
      let heardAt = performance.now();
      async function beat(): Promise<void> {
        const from = performance.now();
        await asking(() => redis.eval(BEAT, 1, keyOf(kind), name, GONE_MS));
        heardAt = from;
      }
      await beat();
      const beating = setInterval(() => void beat().catch(() => undefined), BEAT_MS);
      const looking = setInterval(() => {
        if (performance.now() - heardAt > ALONE_MS) {
          onAlone?.();
        }
      }, LOOK_MS);
      return {
        async leave() {
          clearInterval(beating);
          clearInterval(looking);
          await redis.zrem(keyOf(kind), name).catch(() => undefined);
        },
      };
    },
  };
}
