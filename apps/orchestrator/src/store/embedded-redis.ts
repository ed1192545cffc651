import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { AppError } from "@mayfly/core";
import { connectForCommands, type RedisAddress, waitUntilReady } from "./connection.ts";

/** Redis loads its append-only file first; a state folder of normal size takes well under a second. */
const START_MS = 30_000;
const STOP_MS = 10_000;
const POLL_MS = 50;

/** A Redis of our own. */
export interface EmbeddedRedis {
  readonly address: RedisAddress;
  readonly pid: number;
  /** True if it was already running: it had survived a crash of the service before. */
  readonly adopted: boolean;
  /** Whether that very process is there still, answering or not. */
  isRunning(): Promise<boolean>;
  /** Ends it once everything is on disk. */
  stop(): Promise<void>;
}

/** The folder of the embedded Redis of a state folder. */
export function embeddedRedisFolder(stateDir: string): string {
  return `${stateDir}/redis`;
}

/** Where the Redis of that folder listens, whether it runs or not. */
export function embeddedAddress(folder: string): { readonly socket: string } {
  return { socket: `${folder}/redis.sock` };
}

/**
 * Starts a `redis-server` child on a unix socket in `folder` (AOF, no eviction), or adopts the one that survived there.
 * One that holds the pid file but does not answer is ended before its append-only file is opened again. The caller holds
 * the lock of the state folder, so nobody else does the same. Throws STORE_UNAVAILABLE, TOOLS_MISSING.
 */
export async function startEmbeddedRedis(folder: string): Promise<EmbeddedRedis> {
  await mkdir(folder, { recursive: true });
  // The broker, which has the service's group, passes to the socket; whoever may speak to Redis may know what it keeps.
  await chmod(folder, 0o710);
  const address = embeddedAddress(folder);
  const { socket } = address;
  const survivor = await readSurvivor(folder);
  if (survivor !== null) {
    if (await answers(address)) {
      return { ...handleOf(folder, address, survivor), adopted: true };
    }
    signal(survivor, "SIGKILL");
    await waitGone(survivor, STOP_MS);
  }
  await rm(socket, { force: true });
  const child = spawn(
    "redis-server",
    // The unix socket's path may be at most 107 bytes; Redis says so clearly when it is longer.
    [
      "--port",
      "0",
      "--unixsocket",
      socket,
      "--unixsocketperm",
      "770",
      "--dir",
      folder,
      "--appendonly",
      "yes",
      "--appendfsync",
      "everysec",
      "--maxmemory-policy",
      "noeviction",
      "--save",
      "",
      "--daemonize",
      "no",
      "--logfile",
      `${folder}/redis.log`,
      "--loglevel",
      "warning",
    ],
    { stdio: "ignore", detached: true },
  );
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (error) =>
      reject(
        new AppError("TOOLS_MISSING", "redis-server could not be started; it is in Debian's package redis-server", {
          cause: error,
        }),
      ),
    );
    child.once("exit", (code) =>
      reject(new AppError("STORE_UNAVAILABLE", `the embedded Redis ended with code ${code}; see ${folder}/redis.log`)),
    );
  });
  failed.catch(() => undefined);
  const { pid } = child;
  if (pid === undefined) {
    return failed;
  }
  await writeFile(`${folder}/redis.pid`, `${pid} ${await startTimeOf(pid)}`, { mode: 0o600 });
  const redis = connectForCommands(address);
  try {
    await Promise.race([waitUntilReady(redis, START_MS), failed]);
  } finally {
    redis.disconnect();
  }
  child.unref();
  return { ...handleOf(folder, address, pid), adopted: false };
}

function handleOf(folder: string, address: RedisAddress, pid: number): Omit<EmbeddedRedis, "adopted"> {
  return {
    address,
    pid,
    isRunning: async () => (await readSurvivor(folder)) === pid,
    stop: () => stop(address, pid),
  };
}

/** The process of the pid file, if it is still that very process. */
async function readSurvivor(folder: string): Promise<number | null> {
  const text = await readFile(`${folder}/redis.pid`, "utf8").catch(() => "");
  const [pid, startTime] = text.split(" ");
  const number = Number(pid);
  if (!Number.isInteger(number) || number <= 1 || startTime === undefined) {
    return null;
  }
  return (await startTimeOf(number)) === startTime ? number : null;
}

async function answers(address: RedisAddress): Promise<boolean> {
  const redis = connectForCommands(address);
  try {
    await waitUntilReady(redis, 2_000);
    return (await redis.ping()) === "PONG";
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}

async function stop(address: RedisAddress, pid: number): Promise<void> {
  if ((await startTimeOf(pid)) === null) {
    return;
  }
  const redis = connectForCommands(address);
  try {
    await waitUntilReady(redis, STOP_MS);
    await redis.shutdown("SAVE").catch(() => undefined);
  } catch {
    if ((await startTimeOf(pid)) !== null) {
      signal(pid, "SIGTERM");
    }
  } finally {
    redis.disconnect();
  }
  await waitGone(pid, STOP_MS);
}

/** Signals a process that may end by itself at this very moment. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") {
      throw error;
    }
  }
}

async function waitGone(pid: number, ms: number): Promise<void> {
  const until = performance.now() + ms;
  while ((await startTimeOf(pid)) !== null) {
    if (performance.now() > until) {
      throw new AppError("STORE_UNAVAILABLE", `the embedded Redis, process ${pid}, does not end`);
    }
    await wait(POLL_MS);
  }
}

/** Field 22 of /proc/PID/stat (proc(5)): with the pid it names one process for ever. Null when there is none, or a zombie. */
async function startTimeOf(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined || fields[0] === "Z" ? null : (fields[19] ?? null);
}
