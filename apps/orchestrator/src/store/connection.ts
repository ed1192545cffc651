import { AppError } from "@mayfly/core";
import { Redis, type RedisOptions } from "ioredis";

/** How long one command may take before the caller is told that the store does not answer. */
const COMMAND_MS = 4_000;
/**
 * A host that vanished closes nothing: a connection on which nothing was answered for so long is made anew. Several times
 * COMMAND_MS, since one that only pauses goes on sooner on the connection there is.
 */
const SILENCE_MS = 20_000;
/** How long what is written to see that it can be stays: not for ever, and it does not matter how long. */
const WRITE_KEPT_MS = 60_000;
/** Between two tries to reach a Redis that went away. */
const RECONNECT_MS = 500;

/** Where Redis is: a URL, or a unix socket. */
export type RedisAddress = { readonly url: string } | { readonly socket: string };

/**
 * A connection for commands that must answer soon: nothing is queued while Redis is away, so that a webhook gets its 503
 * and an agent its retry at once.
 */
export function connectForCommands(address: RedisAddress): Redis {
  return connect(address, {
    commandTimeout: COMMAND_MS,
    socketTimeout: SILENCE_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
  });
}

/** A connection for BullMQ, which waits as long as it takes. */
export function connectForQueue(address: RedisAddress): Redis {
  return connect(address, { maxRetriesPerRequest: null });
}

/** Resolves once commands are answered. Throws STORE_UNAVAILABLE after `ms`. */
export async function waitUntilReady(redis: Redis, ms: number): Promise<void> {
  if (redis.status === "ready") {
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      redis.off("ready", ready);
      reject(new AppError("STORE_UNAVAILABLE", `Redis did not answer within ${ms} ms`));
    }, ms);
    const ready = () => {
      clearTimeout(timer);
      resolve();
    };
    redis.once("ready", ready);
  });
}

/** Runs a command and names the store when it fails: callers never see a driver's error. */
export async function asking<T>(command: () => Promise<T>): Promise<T> {
  try {
    return await command();
  } catch (error) {
    throw new AppError("STORE_UNAVAILABLE", "Redis did not take a command", { cause: error });
  }
}

/**
 * Refuses a Redis that may drop records. Throws STORE_UNSAFE. A managed Redis that hides CONFIG is trusted: its operator
 * has read docs/reference/configuration.md.
 */
export async function assertKeepsRecords(redis: Redis): Promise<void> {
  const { policy, appendOnly } = await readKeeping(redis);
  if (policy !== null && policy !== "noeviction") {
    throw new AppError("STORE_UNSAFE", `Redis has maxmemory-policy ${policy}: it may drop records of running machines`);
  }
  if (appendOnly === "no") {
    throw new AppError("STORE_UNSAFE", "Redis has appendonly no: after a crash it may not know of running machines");
  }
}

/** What decides whether records stay: `maxmemory-policy` and `appendonly`, each null where the server hides CONFIG. Never throws. */
export async function readKeeping(
  redis: Redis,
): Promise<{ readonly policy: string | null; readonly appendOnly: string | null }> {
  return { policy: await setting(redis, "maxmemory-policy"), appendOnly: await setting(redis, "appendonly") };
}

/**
 * Resolves once a small write was taken: a Redis that became a replica, or whose disk is full, answers every question and
 * takes none. Throws STORE_UNAVAILABLE.
 */
export async function assertTakesWrites(redis: Redis, prefix: string): Promise<void> {
  await asking(() => redis.set(`${prefix}takes-writes`, "1", "PX", WRITE_KEPT_MS));
}

/** Null where the server does not tell. */
async function setting(redis: Redis, name: string): Promise<string | null> {
  const answer = await redis.config("GET", name).catch(() => null);
  const value: unknown = Array.isArray(answer) ? answer[1] : null;
  return typeof value === "string" ? value : null;
}

function connect(address: RedisAddress, options: RedisOptions): Redis {
  const where = "url" in address ? address.url : address.socket;
  const redis = new Redis(where, {
    ...options,
    replyMapping: "legacy" as const,
    retryStrategy: () => RECONNECT_MS,
    // One that became a replica answers reads and takes no write: its name leads to the new primary by now.
    reconnectOnError: ({ message }) => message.startsWith("READONLY"),
  });
  // Every caller learns of a failure from its own command; without a listener the process would end here.
  redis.on("error", () => undefined);
  return redis;
}
