import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { connectForCommands, type RedisAddress, waitUntilReady } from "./connection.ts";
import { startEmbeddedRedis } from "./embedded-redis.ts";

/** A real Redis of the tests' own, in a folder of its own. */
export interface TestRedis {
  readonly folder: string;
  readonly address: RedisAddress;
  readonly redis: Redis;
  /** A prefix that nobody used before, so that tests do not meet. */
  prefix(): string;
  end(): Promise<void>;
}

export async function startTestRedis(): Promise<TestRedis> {
  const folder = await makeFolder();
  const embedded = await startEmbeddedRedis(folder);
  const redis = connectForCommands(embedded.address);
  await waitUntilReady(redis, 10_000);
  let prefixes = 0;
  return {
    folder,
    address: embedded.address,
    redis,
    prefix: () => `t${(prefixes += 1)}:`,
    async end() {
      redis.disconnect();
      await embedded.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A short path, since a unix socket's may be at most 107 bytes. */
export function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "mf-"));
}

/** Looks until it is so. Fails after 30 s, which is never reached where things work. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await isSo())) {
    if (performance.now() > end) {
      throw new Error("it did not come about within 30 s");
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
