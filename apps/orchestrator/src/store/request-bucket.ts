import type { Clock, Instant } from "@mayfly/core";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** After a refusal nothing is asked for this long, twice as long each time in a row, up to the most. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 60_000;
/** What is forgotten sooner than it refills would give more than it may. */
const SPARE_SECONDS = 120;

/** The right to ask for machines, which all who launch share. All promises reject with STORE_UNAVAILABLE alone. */
export interface RequestBucket {
  /** Takes one request out, or says when there may be one. */
  take(): Promise<{ taken: true } | { taken: false; until: Instant }>;
  /** One was refused for coming too soon: nothing goes out for a while. True if that while begins now. */
  noteThrottled(): Promise<boolean>;
  /** One was accepted: the next refusal is the first again. */
  noteAccepted(): Promise<void>;
  /** Until when we were asked to wait, as far as this process knows; in the past when we were not. */
  pausedUntil(): Instant;
  /** Learns what others know of it. */
  refresh(): Promise<void>;
}

/** How long the pause is that follows so many refusals in a row, ms. */
export function pauseAfter(refusals: number): number {
  return Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** refusals);
}

/** The time is Redis's own, so that clocks of several hosts need not agree. A pause is never longer than the longest. */
const HEAD = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'filled', 'paused', 'refusals')
local paused = math.min((tonumber(kept[3]) or 0) - now, ${PAUSE_MS_MAX})
local refusals = tonumber(kept[4]) or 0
`;

/** KEYS the bucket / burst, per second, seconds to keep. Returns 1 or 0, ms to wait, ms of the pause that are left. */
const TAKE = `${HEAD}
local burst = tonumber(ARGV[1])
local rate = tonumber(ARGV[2])
local filled = tonumber(kept[2]) or now
local tokens = math.min(burst, (tonumber(kept[1]) or burst) + math.max(0, now - filled) / 1000 * rate)
if paused > 0 then return { 0, paused, paused } end
local taken = 0
local wait = 0
if tokens >= 1 then
  tokens = tokens - 1
  taken = 1
else
  wait = math.ceil((1 - tokens) / rate * 1000)
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'filled', now)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return { taken, wait, 0 }`;

/** KEYS the bucket / seconds to keep. Returns 1 if the pause begins now, its ms. One answer can say it of each offering. */
const THROTTLED = `${HEAD}
if paused > 0 then return { 0, paused } end
local pause = math.min(${PAUSE_MS_MAX}, ${PAUSE_MS} * 2 ^ math.min(refusals, 30))
redis.call('HSET', KEYS[1], 'tokens', 0, 'filled', now, 'paused', now + pause, 'refusals', refusals + 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
return { 1, pause }`;

const PAUSED = `${HEAD}
return { 0, math.max(0, paused) }`;

/**
 * A bucket that every process with this Redis and name takes from, one at a time.
 *
 * @param name Which bucket: all who draw from the same one of the provider's have the same.
 */
export function createSharedBucket(options: {
  redis: Redis;
  prefix: string;
  name: string;
  clock: Clock;
  burst: number;
  perSecond: number;
}): RequestBucket {
  const { redis, clock, burst, perSecond } = options;
  const key = `${options.prefix}launches:${options.name}`;
  const keepSeconds = Math.ceil(burst / perSecond) + SPARE_SECONDS;
  let pausedUntil = 0;

  async function evaluate(script: string, ...args: number[]): Promise<[number, number, number]> {
    const answer = await asking(() => redis.eval(script, 1, key, ...args));
    const [first = 0, second = 0, third = 0] = answer as number[];
    return [first, second, third];
  }

  function notePause(ms: number): void {
    pausedUntil = ms > 0 ? clock.now() + ms : 0;
  }

  return {
    async take() {
      const [taken, wait, paused] = await evaluate(TAKE, burst, perSecond, keepSeconds);
      notePause(paused);
      return taken === 1 ? { taken: true } : { taken: false, until: clock.now() + wait };
    },
    async noteThrottled() {
      const [begun, pause] = await evaluate(THROTTLED, keepSeconds);
      notePause(pause);
      return begun === 1;
    },
    async noteAccepted() {
      await asking(() => redis.hdel(key, "refusals"));
    },
    pausedUntil: () => pausedUntil,
    async refresh() {
      const [, paused] = await evaluate(PAUSED);
      notePause(paused);
    },
  };
}
