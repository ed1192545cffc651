import { isMachineId, isRunId, type Machine, type Run, type Store, type Versioned, type Write } from "@mayfly/core";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** A commit writes a run and a machine at most, with room to grow. */
const WRITES_MAX = 4;

/** Runs and machines named in the lists of all; older names go first. */
const LISTED_MAX = 10_000;

/**
 * All writes or none. For each write: key, live index, index of all / version read, record,
 * "1" while live, score, id, seconds to keep once no longer live.
 */
const COMMIT = `
for i = 1, #KEYS, 3 do
  local a = (i - 1) * 2
  if (tonumber(redis.call('HGET', KEYS[i], 'version')) or 0) ~= tonumber(ARGV[a + 1]) then return 0 end
end
for i = 1, #KEYS, 3 do
  local a = (i - 1) * 2
  redis.call('HSET', KEYS[i], 'version', ARGV[a + 1] + 1, 'record', ARGV[a + 2])
  if ARGV[a + 3] == '1' then
    redis.call('ZADD', KEYS[i + 1], ARGV[a + 4], ARGV[a + 5])
    redis.call('PERSIST', KEYS[i])
  else
    redis.call('ZREM', KEYS[i + 1], ARGV[a + 5])
    redis.call('EXPIRE', KEYS[i], ARGV[a + 6])
  end
  redis.call('ZADD', KEYS[i + 2], ARGV[a + 4], ARGV[a + 5])
  redis.call('ZREMRANGEBYRANK', KEYS[i + 2], 0, ${-LISTED_MAX - 1})
end
return 1`;

/** Runs and machines in Redis, written by compare-and-set on a version. */
export function createRecordStore(deps: { redis: Redis; prefix: string; keepFinishedMs: number }): Store {
  const { redis, prefix, keepFinishedMs } = deps;
  const key = (kind: Write["kind"], id: string) => `${prefix}${kind}:${id}`;
  const live = (kind: Write["kind"]) => `${prefix}${kind}s:live`;
  const all = (kind: Write["kind"]) => `${prefix}${kind}s:all`;

  async function load<T>(kind: Write["kind"], id: string): Promise<Versioned<T> | null> {
    const [version, record] = await asking(() => redis.hmget(key(kind, id), "version", "record"));
    return typeof record === "string" ? { value: JSON.parse(record) as T, version: Number(version) } : null;
  }

  async function loadAll<T>(kind: Write["kind"], ids: readonly string[]): Promise<T[]> {
    const found = await Promise.all(ids.map((id) => load<T>(kind, id)));
    return found.flatMap((record) => (record === null ? [] : [record.value]));
  }

  return {
    loadRun: (id) => load<Run>("run", id),
    loadMachine: (id) => load<Machine>("machine", id),
    async commit(writes) {
      if (writes.length === 0 || writes.length > WRITES_MAX) {
        throw new RangeError(`a commit has 1 to ${WRITES_MAX} writes, not ${writes.length}`);
      }
      const keys = writes.flatMap(({ kind, value }) => [key(kind, value.id), live(kind), all(kind)]);
      const args = writes.flatMap((write) => [
        write.version,
        JSON.stringify(write.value),
        isLive(write) ? "1" : "0",
        write.value.createdAt,
        write.value.id,
        Math.ceil(keepFinishedMs / 1000),
      ]);
      const done = await asking(() => redis.eval(COMMIT, keys.length, ...keys, ...args));
      return done === 1 ? "committed" : "conflict";
    },
    async listLiveRuns() {
      const ids = await asking(() => redis.zrange(live("run"), "0", "-1"));
      return loadAll<Run>("run", ids.filter(isRunId));
    },
    async listRecentRuns(count) {
      if (count < 1) {
        return [];
      }
      const ids = await asking(() => redis.zrange(all("run"), "0", String(count - 1), "REV"));
      return loadAll<Run>("run", ids.filter(isRunId));
    },
    async listLiveMachines() {
      const ids = await asking(() => redis.zrange(live("machine"), "0", "-1"));
      return loadAll<Machine>("machine", ids.filter(isMachineId));
    },
  };
}

function isLive(write: Write): boolean {
  return write.kind === "run" ? !(write.value.phase === "done" && write.value.archived) : write.value.phase !== "gone";
}
