import { createHash } from "node:crypto";
import { AgentEvent, type Digest, limits, ResultFrame, type ResultStore, type RunId } from "@mayfly/core";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/**
 * Takes what follows what is there: KEYS list, counter / first, most to keep, seconds to keep, events. Returns the
 * number expected next. A gap takes nothing, so that the agent sends again from there.
 */
const APPEND = `
local next = tonumber(redis.call('GET', KEYS[2])) or 0
local first = tonumber(ARGV[1])
if first > next then return next end
for i = 4 + next - first, #ARGV do
  if next < tonumber(ARGV[2]) then redis.call('RPUSH', KEYS[1], ARGV[i]) end
  next = next + 1
end
redis.call('SET', KEYS[2], next, 'EX', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return next`;

/** What attempts return, in Redis beside the records, for as long as those are kept. */
export function createResultStore(deps: { redis: Redis; prefix: string; keepMs: number }): ResultStore {
  const { redis, prefix, keepMs } = deps;
  const seconds = Math.ceil(keepMs / 1000);
  const resultKey = (run: RunId, epoch: number) => `${prefix}result:${run}:${epoch}`;
  const eventsKey = (run: RunId, epoch: number) => `${prefix}events:${run}:${epoch}`;

  return {
    async putResult(run, epoch, frame) {
      const text = JSON.stringify(frame);
      const name = resultKey(run, epoch);
      const kept = await asking(() => redis.set(name, text, "EX", seconds, "NX", "GET"));
      return digestOf(kept ?? text);
    },
    async getResult(run, epoch) {
      const text = await asking(() => redis.get(resultKey(run, epoch)));
      return text === null ? null : ResultFrame.parse(JSON.parse(text));
    },
    async appendEvents(run, epoch, first, events) {
      const name = eventsKey(run, epoch);
      const lines = events.map((event) => JSON.stringify(event));
      const next = await asking(() =>
        redis.eval(APPEND, 2, name, `${name}:next`, first, limits.eventsPerRunMax, seconds, ...lines),
      );
      return Number(next);
    },
    async readEvents(run, epoch) {
      const lines = await asking(() => redis.lrange(eventsKey(run, epoch), 0, -1));
      return lines.map((line) => AgentEvent.parse(JSON.parse(line)));
    },
  };
}

function digestOf(text: string): Digest {
  return `sha256:${createHash("sha256").update(text).digest("hex")}` as Digest;
}
