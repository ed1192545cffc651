import { createHash } from "node:crypto";
import type { Clock, DeliveryId, Instant, RunId } from "@mayfly/core";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** What became of a delivery (I7). */
type DeliveryState = "accepted" | "ignored" | "started" | "applied" | "invalid";

/** One webhook POST as we keep it. */
export interface DeliveryRecord {
  readonly id: DeliveryId;
  readonly event: string;
  readonly receivedAt: Instant;
  readonly state: DeliveryState;
  /** Why it was ignored or what it did, in our own words. */
  readonly reason: string;
  readonly run: RunId | null;
}

/** Deliveries, so that each is handled once and none is forgotten. All methods throw STORE_UNAVAILABLE. */
export interface DeliveryStore {
  /** Keeps a new delivery until it is handled; says so if it is known already. */
  accept(delivery: { id: DeliveryId; event: string; body: string }): Promise<"accepted" | "known">;
  /** What is still to be handled: the body is kept until then. */
  loadOpen(id: DeliveryId): Promise<{ record: DeliveryRecord; body: string } | null>;
  listOpen(): Promise<DeliveryId[]>;
  isKnown(id: DeliveryId): Promise<boolean>;
  /** What became of it so far; null for one that is not known, or not any more. */
  get(id: DeliveryId): Promise<DeliveryRecord | null>;
  /** One that came to nothing may be asked anew under the same id. Leaves every other alone. Idempotent. */
  forgetIgnored(id: DeliveryId): Promise<void>;
  /**
   * The run this delivery starts: the first one named stays, so that a repeated step makes no second.
   *
   * @param part Where a delivery starts several, which of them.
   */
  ensureRun(id: DeliveryId, run: RunId, part?: string): Promise<RunId>;
  /** The run that part of a delivery has named; null before. */
  runOf(id: DeliveryId, part: string): Promise<RunId | null>;
  /** Whether this delivery is the first with that meaning. Idempotent by delivery. */
  claimMeaning(meaning: string, id: DeliveryId): Promise<{ first: true } | { first: false; by: string }>;
  close(id: DeliveryId, state: Exclude<DeliveryState, "accepted">, reason: string): Promise<void>;
  /** The newest first. */
  listRecent(count: number): Promise<DeliveryRecord[]>;
}

/** Deliveries named in the list of all. */
const LISTED_MAX = 1_000;

/** KEYS record, body, open, all / id, event, now, body, seconds to keep, -(list length + 1). */
const ACCEPT = `
if redis.call('HSETNX', KEYS[1], 'id', ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'event', ARGV[2], 'receivedAt', ARGV[3], 'state', 'accepted', 'reason', '')
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[5])
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, ARGV[6])
return 1`;

/**
 * KEYS record, body, open / id, state, reason. One that has expired is not brought back, which would be for ever. A run
 * that was named and never came about is not named any more.
 */
const CLOSE = `
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'state', ARGV[2], 'reason', ARGV[3])
  if ARGV[2] ~= 'started' then redis.call('HDEL', KEYS[1], 'run') end
end
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[2])
return 1`;

/** KEYS record. */
const FORGET = `
if redis.call('HGET', KEYS[1], 'state') == 'ignored' then return redis.call('DEL', KEYS[1]) end
return 0`;

export function createDeliveryStore(deps: {
  redis: Redis;
  prefix: string;
  keepMs: number;
  clock: Clock;
}): DeliveryStore {
  const { redis, prefix, keepMs, clock } = deps;
  const seconds = Math.ceil(keepMs / 1000);
  const recordKey = (id: string) => `${prefix}delivery:${id}`;
  const bodyKey = (id: string) => `${prefix}delivery:${id}:body`;
  const open = `${prefix}deliveries:open`;
  const all = `${prefix}deliveries:all`;

  async function load(id: string): Promise<DeliveryRecord | null> {
    const fields = await asking(() => redis.hgetall(recordKey(id)));
    return fields["id"] === undefined
      ? null
      : {
          id: id as DeliveryId,
          event: fields["event"] ?? "",
          receivedAt: Number(fields["receivedAt"]),
          state: fields["state"] as DeliveryState,
          reason: fields["reason"] ?? "",
          run: (fields["run"] ?? null) as RunId | null,
        };
  }

  const runField = (part: string | undefined) => (part === undefined ? "run" : `run:${part}`);

  return {
    async accept({ id, event, body }) {
      const keys = [recordKey(id), bodyKey(id), open, all];
      const args = [id, event, clock.now(), body, seconds, -LISTED_MAX - 1];
      return (await asking(() => redis.eval(ACCEPT, keys.length, ...keys, ...args))) === 1 ? "accepted" : "known";
    },
    async loadOpen(id) {
      const record = await load(id);
      const body = record?.state === "accepted" ? await asking(() => redis.get(bodyKey(id))) : null;
      return record === null || body === null ? null : { record, body };
    },
    async listOpen() {
      return (await asking(() => redis.smembers(open))) as DeliveryId[];
    },
    async isKnown(id) {
      return (await asking(() => redis.exists(recordKey(id)))) === 1;
    },
    get: load,
    async forgetIgnored(id) {
      await asking(() => redis.eval(FORGET, 1, recordKey(id)));
    },
    async ensureRun(id, run, part) {
      const field = runField(part);
      await asking(() => redis.hsetnx(recordKey(id), field, run));
      return ((await asking(() => redis.hget(recordKey(id), field))) ?? run) as RunId;
    },
    async runOf(id, part) {
      return (await asking(() => redis.hget(recordKey(id), runField(part)))) as RunId | null;
    },
    async claimMeaning(meaning, id) {
      const name = `${prefix}meaning:${createHash("sha256").update(meaning).digest("hex")}`;
      const by = await asking(() => redis.set(name, id, "EX", seconds, "NX", "GET"));
      return by === null || by === id ? { first: true } : { first: false, by };
    },
    async close(id, state, reason) {
      const keys = [recordKey(id), bodyKey(id), open];
      await asking(() => redis.eval(CLOSE, keys.length, ...keys, id, state, reason));
    },
    async listRecent(count) {
      if (count < 1) {
        return [];
      }
      const ids = await asking(() => redis.zrange(all, "0", String(count - 1), "REV"));
      const found = await Promise.all(ids.map(load));
      return found.flatMap((record) => (record === null ? [] : [record]));
    },
  };
}
