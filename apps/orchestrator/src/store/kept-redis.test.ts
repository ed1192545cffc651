import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectForCommands, waitUntilReady } from "./connection.ts";
import { startEmbeddedRedis } from "./embedded-redis.ts";
import { keepEmbeddedRedis, type KeptRedis } from "./kept-redis.ts";
import { makeFolder, until } from "./test-redis.fixture.ts";

let folder: string;
const kept: KeptRedis[] = [];
let restarts: number;

beforeEach(async () => {
  folder = await makeFolder();
  restarts = 0;
});

afterEach(async () => {
  await Promise.all(kept.splice(0).map((redis) => redis.stop()));
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function keep(): Promise<KeptRedis> {
  const redis = await keepEmbeddedRedis(folder, { onRestarted: () => (restarts += 1) });
  kept.push(redis);
  return redis;
}

async function pidNow(): Promise<number> {
  return Number((await readFile(`${folder}/redis.pid`, "utf8")).split(" ")[0]);
}

async function ask<T>(
  redis: KeptRedis,
  use: (client: ReturnType<typeof connectForCommands>) => Promise<T>,
): Promise<T> {
  const client = connectForCommands(redis.address);
  try {
    await waitUntilReady(client, 10_000);
    return await use(client);
  } finally {
    client.disconnect();
  }
}

describe("a kept Redis", () => {
  it("is started again on the same records each time it is killed", async () => {
    const redis = await keep();
    await ask(redis, (client) => client.set("a", "1"));
    for (const time of [1, 2]) {
      process.kill(await pidNow(), "SIGKILL");
      await until(() => restarts === time);
      expect(await ask(redis, (client) => client.get("a"))).toBe("1");
    }
  });

  it("is started again although it was only adopted", async () => {
    const survivor = await startEmbeddedRedis(folder);
    const redis = await keep();
    expect(redis.adopted).toBe(true);
    process.kill(survivor.pid, "SIGKILL");
    await until(() => restarts === 1);
    expect(await ask(redis, (client) => client.ping())).toBe("PONG");
  });

  it("says so when it cannot be brought back", async () => {
    const redis = await keep();
    await ask(redis, (client) => client.set("a", "1"));
    const manifest = `${folder}/appendonlydir/appendonly.aof.manifest`;
    await writeFile(manifest, "this is no manifest\n");
    process.kill(await pidNow(), "SIGKILL");
    await expect(redis.failed).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });

  it("says so when it ends again and again", async () => {
    const redis = await keep();
    for (const time of [1, 2, 3, 4, 5]) {
      process.kill(await pidNow(), "SIGKILL");
      await until(() => restarts === time);
    }
    process.kill(await pidNow(), "SIGKILL");
    await expect(redis.failed).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });

  it("stays away once it was stopped", async () => {
    const redis = await keep();
    const pid = await pidNow();
    await redis.stop();
    expect(existsSync(`/proc/${pid}/exe`)).toBe(false);
    expect(restarts).toBe(0);
  });
});
