import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** How often a process says that it is there. */
const BEAT_MS = 2_000;
/** Four beats may be lost; whoever has been watched for so long without one counts as gone. */
const GONE_MS = 10_000;
/**
 * A process that could not say so for this long gives up what it may do only while others know of it: before they count
 * it as gone, with room for an answer that was late.
 */
const ALONE_MS = 6_000;
/** How often it looks whether that is so. */
const LOOK_MS = 1_000;

/** Unless it has spoken since. */
const FORGET = "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end";

/** Which processes of a kind there are, on whatever host. */
export interface Presence {
  /**
   * All but those that were watched for GONE_MS and said nothing: whoever has just begun to watch, or could not for a
   * while, counts one that is gone as there. Throws STORE_UNAVAILABLE.
   */
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

/** The last beat of one that is watched, and when it was first seen. */
interface Watched {
  readonly beat: string;
  readonly since: number;
}

/**
 * A beat is a value that nobody has seen before, and who watches takes the time between two looks by a clock of its own
 * that only goes forward. So no time is compared across hosts, and none is the store's: a clock that is set forward there
 * would have all of them gone at once, and channels left open that nobody could be told to end.
 *
 * @param deps.now Milliseconds that pass evenly; absent for this process's own.
 */
export function createPresence(deps: { redis: Redis; prefix: string; now?: () => number }): Presence {
  const { redis, now = () => performance.now() } = deps;
  const keyOf = (kind: string): string => `${deps.prefix}beats:${kind}`;
  const watched = new Map<string, ReadonlyMap<string, Watched>>();

  /** While the store is away nobody can speak: everyone has to be watched anew. */
  async function ask<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await asking(command);
    } catch (error) {
      watched.clear();
      throw error;
    }
  }

  async function present(kind: string): Promise<string[]> {
    const from = now();
    const beats = Object.entries(await ask(() => redis.hgetall(keyOf(kind))));
    const before = watched.get(kind);
    const seenAt = now();
    const seen = new Map<string, Watched>();
    for (const [name, beat] of beats) {
      const last = before?.get(name);
      seen.set(name, last?.beat === beat ? last : { beat, since: seenAt });
    }
    watched.set(kind, seen);
    const isGone = ({ since }: Watched) => from - since > GONE_MS;
    const gone = [...seen].filter(([, one]) => isGone(one));
    await Promise.all(gone.map(([name, { beat }]) => ask(() => redis.eval(FORGET, 1, keyOf(kind), name, beat))));
    return [...seen].filter(([, one]) => !isGone(one)).map(([name]) => name);
  }

  return {
    present,
    async announce(kind, name, { onAlone } = {}) {
      let heardAt = now();
      async function beat(): Promise<void> {
        const from = now();
        await ask(() => redis.hset(keyOf(kind), name, randomUUID()));
        heardAt = from;
        // Its own kind has somebody who watches then, whoever else does: those that are gone do not pile up.
        await present(kind);
      }
      await beat();
      const beating = setInterval(() => void beat().catch(() => undefined), BEAT_MS);
      const looking = setInterval(() => {
        if (now() - heardAt > ALONE_MS) {
          onAlone?.();
        }
      }, LOOK_MS);
      return {
        async leave() {
          clearInterval(beating);
          clearInterval(looking);
          await redis.hdel(keyOf(kind), name).catch(() => undefined);
        },
      };
    },
  };
}
