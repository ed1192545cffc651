import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { promisify } from "node:util";
import { type Config, limits } from "@mayfly/core";
import type { Redis } from "ioredis";
import { connectForCommands, readKeeping, type RedisAddress, waitUntilReady } from "../../store/connection.ts";
import { embeddedAddress, embeddedRedisFolder } from "../../store/embedded-redis.ts";
import { REDIS_PREFIX } from "../../store/stores.ts";
import { type Checklist, fail, type Finding, ok, warn } from "./checklist.ts";
import { skewFinding } from "./clock-skew.ts";

const LATER = ["redis keeps records", "redis append-only file", "redis takes writes", "redis latency", "redis clock"];
/** A Redis that is there answers the first connection within milliseconds. */
const READY_MS = 4_000;
const PINGS = 5;
/** A webhook costs some ten commands and GitHub waits ten seconds; a claim is as many. In one region a ping takes one or two. */
const PING_MS_MAX = 50;
/** BullMQ runs with no older one, and advises no older than the second. */
const VERSION_MIN = [5, 0];
const VERSION_ADVISED = [6, 2];
/** The probe goes by itself if we are killed between writing and removing it. */
const PROBE_KEPT_MS = 60_000;
const ADDRESS_FIX =
  "see that Redis runs and that redis_url (MAYFLY_REDIS_URL) is its address, with its user and password";

/** The Redis of the settings: whether it can be reached, keeps what it takes, is near, and knows what time it is. */
export async function lookAtRedis(list: Checklist, { redisUrl, stateDir }: Config): Promise<void> {
  if (redisUrl === null) {
    const address = embeddedAddress(embeddedRedisFolder(stateDir));
    const way = await knock(address.socket);
    if (way !== "open") {
      await list.check("redis", "run this as root or as the service's user", () =>
        embeddedFinding(way, address.socket),
      );
      list.skip(LATER, "Mayfly's own Redis runs only while mayfly serve does");
      return;
    }
    await lookAtServer(list, address);
    return;
  }
  const url = redisUrl.reveal();
  list.hide(url);
  for (const part of [URL.parse(url)?.password ?? "", decoded(URL.parse(url)?.password ?? "")]) {
    list.hide(part);
  }
  await lookAtServer(list, { url });
}

async function lookAtServer(list: Checklist, address: RedisAddress): Promise<void> {
  const redis = connectForCommands(address);
  let lastWords = "";
  redis.on("error", ({ message }: Error) => (lastWords = message));
  try {
    const reached = await list.check("redis", ADDRESS_FIX, async () => {
      try {
        await waitUntilReady(redis, READY_MS);
      } catch (error) {
        // What the driver met stands in its events alone.
        const words = error instanceof Error ? error.message : String(error);
        return fail(lastWords === "" ? words : `${words}: ${lastWords}`, ADDRESS_FIX);
      }
      return versionFinding(await redis.info("server"));
    });
    if (reached.status === "fail") {
      list.skip(LATER, "Redis could not be asked");
      return;
    }
    await list.check("redis keeps records", ADDRESS_FIX, () => keepingFinding(redis));
    await list.check("redis append-only file", ADDRESS_FIX, () => appendOnlyFinding(redis));
    await list.check(
      "redis takes writes",
      "see that redis_url names the primary and not a replica, and that its disk is not full",
      () => tryWrite(redis),
    );
    await list.check("redis latency", ADDRESS_FIX, () => latencyFinding(redis));
    await list.check("redis clock", ADDRESS_FIX, () => clockFinding(redis));
  } finally {
    redis.disconnect();
  }
}

function versionFinding(info: string): Finding {
  const valkey = fieldOf(info, "valkey_version");
  const version = fieldOf(info, "redis_version") ?? "";
  const name = valkey === null ? `Redis ${version}` : `Valkey ${valkey}`;
  if (isBefore(version, VERSION_MIN)) {
    return fail(`${name} answers; it is too old`, `run Redis ${VERSION_ADVISED.join(".")} or newer, or Valkey`);
  }
  return isBefore(version, VERSION_ADVISED)
    ? warn(`${name} answers`, `run Redis ${VERSION_ADVISED.join(".")} or newer: queues are not tested with older ones`)
    : ok(`${name} answers`);
}

async function keepingFinding(redis: Redis): Promise<Finding> {
  const { policy: told } = await readKeeping(redis);
  // Where a managed one hides CONFIG, it tells this all the same.
  const policy = told ?? fieldOf(await redis.info("memory"), "maxmemory_policy");
  if (policy === null) {
    return warn(
      "it does not tell its maxmemory-policy",
      "see in its own settings that maxmemory-policy is noeviction: any other may drop records of running machines",
    );
  }
  return policy === "noeviction"
    ? ok("maxmemory-policy noeviction")
    : fail(
        `maxmemory-policy ${policy}: it may drop records of running machines`,
        "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf (managed: in its parameter group)",
      );
}

async function appendOnlyFinding(redis: Redis): Promise<Finding> {
  const { appendOnly } = await readKeeping(redis);
  const info = await redis.info("persistence");
  const written = fieldOf(info, "aof_last_write_status");
  if (appendOnly === "no") {
    return fail(
      "appendonly no: after a crash it may not know of running machines",
      "redis-cli CONFIG SET appendonly yes, and the same in redis.conf",
    );
  }
  if (appendOnly === null && fieldOf(info, "aof_enabled") !== "1") {
    return warn(
      "it hides CONFIG and has no append-only file",
      "a managed Redis: see that it has a replica in another zone that takes over by itself",
    );
  }
  return written !== null && written !== "ok"
    ? fail(`appendonly yes, but the last write of its file ended with ${written}`, "see the disk of Redis and its log")
    : ok("appendonly yes");
}

/** One small key of our own, written, read and removed. */
async function tryWrite(redis: Redis): Promise<Finding> {
  const key = `${REDIS_PREFIX}doctor:${randomUUID()}`;
  await redis.set(key, key, "PX", PROBE_KEPT_MS);
  try {
    return (await redis.get(key)) === key
      ? ok("a small key was written, read and removed")
      : fail("what was written was not read again", "see that redis_url names one Redis, and no proxy before several");
  } finally {
    await redis.del(key);
  }
}

async function latencyFinding(redis: Redis): Promise<Finding> {
  const times: number[] = [];
  for (let ping = 0; ping < PINGS; ping++) {
    const began = performance.now();
    await redis.ping();
    times.push(performance.now() - began);
  }
  const median = times.toSorted((left, right) => left - right)[Math.floor(PINGS / 2)] ?? 0;
  const seen = `${PINGS} pings, ${median.toFixed(1)} ms in the middle, ${Math.max(...times).toFixed(1)} ms at most`;
  return median <= PING_MS_MAX
    ? ok(seen)
    : warn(seen, "put Redis and this host into one region, and see that Redis is not busy (redis-cli --latency)");
}

async function clockFinding(redis: Redis): Promise<Finding> {
  const asked = Date.now();
  const [seconds, micros] = await redis.time();
  const here = (asked + Date.now()) / 2;
  const skewMs = here - (Number(seconds) * 1_000 + Number(micros) / 1_000);
  return skewFinding(skewMs, "Redis", { max: limits.clockSkewMsMax });
}

function embeddedFinding(way: string, socket: string): Promise<Finding> | Finding {
  if (way !== "closed") {
    return fail(`${socket} cannot be reached (${way})`, "run this as root or as the service's user");
  }
  return programFinding();
}

/** What `mayfly serve` will start. */
async function programFinding(): Promise<Finding> {
  try {
    const { stdout } = await promisify(execFile)("redis-server", ["--version"], { timeout: limits.doctorCheckMs });
    const version = /\bv=(\S+)/.exec(stdout)?.[1] ?? "";
    const seen = `Mayfly's own, not running now; redis-server ${version} is there`;
    return isBefore(version, VERSION_MIN) ? fail(seen, "install a newer redis-server") : ok(seen);
  } catch {
    return fail(
      "Mayfly's own, and there is no redis-server",
      "apt-get install redis-server, or name another Redis in redis_url (MAYFLY_REDIS_URL)",
    );
  }
}

/** Whether somebody listens at a socket; else the error's code. */
function knock(socket: string): Promise<string> {
  return new Promise((resolve) => {
    const line = connect(socket);
    line.setTimeout(READY_MS, () => line.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
    line.once("connect", () => {
      resolve("open");
      line.destroy();
    });
    line.once("error", ({ code = "unknown" }: NodeJS.ErrnoException) =>
      resolve(code === "ENOENT" || code === "ECONNREFUSED" ? "closed" : code),
    );
  });
}

/** A field of what INFO answers: `name:value` lines. */
function fieldOf(info: string, name: string): string | null {
  const line = info.split(/\r?\n/).find((one) => one.startsWith(`${name}:`));
  return line === undefined ? null : line.slice(name.length + 1, name.length + 65);
}

function isBefore(version: string, least: readonly number[]): boolean {
  const parts = version.split(".").map(Number);
  const [at, wanted] = least.map((number, index) => [parts[index] ?? 0, number]).find(([one, two]) => one !== two) ?? [
    0, 0,
  ];
  return (at ?? 0) < (wanted ?? 0);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
