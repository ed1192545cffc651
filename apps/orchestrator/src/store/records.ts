import {
  AppError,
  assertNever,
  type FleetRecord,
  isLaunchId,
  isMachineId,
  isRunId,
  type Launch,
  type Machine,
  type Run,
  type Store,
  type TenantRecord,
  upgradeMachine,
  type Versioned,
  type Write,
} from "@mayfly/core";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** A commit writes three records at most, with room to grow. */
const WRITES_MAX = 4;

/** Names in each list of all; older ones go first. More than a thousand machines make in a day, some 10 MB of Redis. */
const LISTED_MAX = 100_000;

/** How the records of each kind are called together. */
const plurals: Readonly<Record<Write["kind"], string>> = {
  run: "runs",
  machine: "machines",
  launch: "launches",
  fleet: "fleets",
  tenant: "tenants",
};

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

/** Runs, machines and launches in Redis, written by compare-and-set on a version. */
export function createRecordStore(deps: { redis: Redis; prefix: string; keepFinishedMs: number }): Store {
  const { redis, prefix, keepFinishedMs } = deps;
  const key = (kind: Write["kind"], id: string) => `${prefix}${kind}:${id}`;
  const live = (kind: Write["kind"]) => `${prefix}${plurals[kind]}:live`;
  const all = (kind: Write["kind"]) => `${prefix}${plurals[kind]}:all`;

  async function load<T>(kind: Write["kind"], id: string): Promise<Versioned<T> | null> {
    const [version, record] = await asking(() => redis.hmget(key(kind, id), "version", "record"));
    return typeof record === "string" ? { value: JSON.parse(record) as T, version: Number(version) } : null;
  }

  async function loadAll<T>(kind: Write["kind"], ids: readonly string[]): Promise<T[]> {
    const found = await Promise.all(ids.map((id) => load<T>(kind, id)));
    return found.flatMap((record) => (record === null ? [] : [record.value]));
  }

  /** Names since then, oldest first. The oldest ones of a full list may be missing, so a list as long as that is no answer. */
  async function listSince(kind: Write["kind"], since: number): Promise<string[]> {
    const ids = await asking(() => redis.zrange(all(kind), since, "+inf", "BYSCORE"));
    if (ids.length >= LISTED_MAX) {
      throw new AppError("STORE_UNAVAILABLE", `there are more ${plurals[kind]} than are listed: ${LISTED_MAX}`);
    }
    return ids;
  }

  return {
    loadRun: (id) => load<Run>("run", id),
    async loadMachine(id) {
      const found = await load<Machine>("machine", id);
      return found && { ...found, value: upgradeMachine(found.value) };
    },
    loadLaunch: (id) => load<Launch>("launch", id),
    async loadFleet() {
      const found = await load<FleetRecord>("fleet", "fleet");
      if (found === null) {
        return null;
      }
      // An earlier version wrote no end: its looks are over.
      const ended: Pick<FleetRecord, "endedAt"> = { endedAt: found.value.lookedAt };
      return { ...found, value: { ...ended, ...found.value } };
    },
    loadTenant: (id) => load<TenantRecord>("tenant", id),
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
      return (await loadAll<Machine>("machine", ids.filter(isMachineId))).map(upgradeMachine);
    },
    async listLiveLaunches() {
      const ids = await asking(() => redis.zrange(live("launch"), "0", "-1"));
      return loadAll<Launch>("launch", ids.filter(isLaunchId));
    },
    listLaunchesSince: async (since) => (await listSince("launch", since)).filter(isLaunchId),
    listMachinesSince: async (since) => (await listSince("machine", since)).filter(isMachineId),
    countRunsSince: (since) => asking(() => redis.zcount(all("run"), since, "+inf")),
  };
}

function isLive({ kind, value }: Write): boolean {
  switch (kind) {
    case "run":
      return !(value.phase === "done" && value.archived);
    case "machine":
      return value.phase !== "gone";
    case "launch":
      return value.phase === "intended";
    case "fleet":
      return true;
    case "tenant":
      return false;
    default:
      return assertNever(kind);
  }
}
