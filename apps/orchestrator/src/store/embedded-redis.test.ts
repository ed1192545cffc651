import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm, stat, writeFile } from "node:fs/promises";
import type { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { asking, assertKeepsRecords, connectForCommands, waitUntilReady } from "./connection.ts";
import { type EmbeddedRedis, startEmbeddedRedis } from "./embedded-redis.ts";
import { makeFolder } from "./test-redis.fixture.ts";

let folder: string;
const started: EmbeddedRedis[] = [];
const connections: Redis[] = [];

beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(async () => {
  connections.splice(0).forEach((redis) => redis.disconnect());
  for (const { pid } of started.splice(0)) {
    if (existsSync(`/proc/${pid}`)) {
      process.kill(pid, "SIGKILL");
    }
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function start(): Promise<EmbeddedRedis> {
  const embedded = await startEmbeddedRedis(folder);
  started.push(embedded);
  return embedded;
}

async function connect(embedded: EmbeddedRedis): Promise<Redis> {
  const redis = connectForCommands(embedded.address);
  connections.push(redis);
  await waitUntilReady(redis, 10_000);
  return redis;
}

/** A Redis started by a process that was killed: it goes on alone. */
async function startAndDie(): Promise<number> {
  const source = `import { startEmbeddedRedis } from ${JSON.stringify(new URL("embedded-redis.ts", import.meta.url).href)};
    console.log((await startEmbeddedRedis(process.argv[1])).pid);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [pid] = (await once(child.stdout, "data")) as [Buffer];
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  return Number(pid.toString());
}

const isRunning = (pid: number) => existsSync(`/proc/${pid}/exe`);

describe("the embedded Redis", () => {
  it("answers on a socket of its user and the broker's group, in a folder closed to others, drops nothing and listens nowhere else", async () => {
    const embedded = await start();
    expect(embedded.adopted).toBe(false);
    const redis = await connect(embedded);
    await assertKeepsRecords(redis);
    expect(await redis.config("GET", "appendonly")).toEqual(["appendonly", "yes"]);
    expect(await redis.config("GET", "port")).toEqual(["port", "0"]);
    expect((await stat(`${folder}/redis.sock`)).mode & 0o777).toBe(0o770);
    expect((await stat(folder)).mode & 0o777).toBe(0o710);
    await embedded.stop();
  });

  it("keeps its data over a stop and a start", async () => {
    const first = await start();
    await (await connect(first)).set("a", "1");
    await first.stop();
    expect(isRunning(first.pid)).toBe(false);
    const second = await start();
    expect(second).toMatchObject({ adopted: false });
    expect(await (await connect(second)).get("a")).toBe("1");
    await second.stop();
  });

  it("is adopted when it has survived the service that started it", async () => {
    const pid = await startAndDie();
    const embedded = await start();
    expect(embedded).toMatchObject({ adopted: true, pid });
    await (await connect(embedded)).set("a", "1");
    await embedded.stop();
    expect(isRunning(pid)).toBe(false);
  });

  it("is ended and started anew on the same data when it does not answer any more", async () => {
    const pid = await startAndDie();
    const survivor = await start();
    await (await connect(survivor)).set("a", "1");
    // Its append-only file reaches the disk's cache with each command, so nothing hangs on a clean end.
    process.kill(pid, "SIGSTOP");
    const embedded = await start();
    expect(embedded.adopted).toBe(false);
    expect(embedded.pid).not.toBe(pid);
    expect(isRunning(pid)).toBe(false);
    expect(await (await connect(embedded)).get("a")).toBe("1");
    await embedded.stop();
  });

  it("keeps what it took before it was killed", async () => {
    const first = await start();
    await (await connect(first)).set("a", "1");
    process.kill(first.pid, "SIGKILL");
    const second = await start();
    expect(await (await connect(second)).get("a")).toBe("1");
    await second.stop();
  });

  it("never ends a stranger that has its old process id", async () => {
    await writeFile(`${folder}/redis.pid`, `${process.pid} 1`);
    const embedded = await start();
    expect(embedded.adopted).toBe(false);
    await embedded.stop();
  });

  it("says what happened when it cannot start", async () => {
    await writeFile(`${folder}/appendonlydir`, "not a folder");
    await expect(startEmbeddedRedis(folder)).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining("redis.log"),
    });
  });
});

describe("commands to a Redis that hangs", () => {
  it("fail soon, and work again once it goes on", async () => {
    const embedded = await start();
    const redis = await connect(embedded);
    await redis.set("a", "1");
    process.kill(embedded.pid, "SIGSTOP");
    const began = performance.now();
    await expect(asking(() => redis.get("a"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(performance.now() - began).toBeLessThan(10_000);
    process.kill(embedded.pid, "SIGCONT");
    expect(await asking(() => redis.get("a"))).toBe("1");
    await embedded.stop();
  });

  it("fail at once while it is away, and work again when it is back", async () => {
    const first = await start();
    const redis = await connect(first);
    const lost = once(redis, "close");
    await first.stop();
    await lost;
    const began = performance.now();
    await expect(asking(() => redis.get("a"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(performance.now() - began).toBeLessThan(1_000);
    const second = await start();
    await waitUntilReady(redis, 10_000);
    expect(await asking(() => redis.get("a"))).toBeNull();
    await second.stop();
  });

  it("are not waited for beyond the given time", async () => {
    const redis = connectForCommands({ socket: `${folder}/none.sock` });
    connections.push(redis);
    await expect(waitUntilReady(redis, 100)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });

  it("are refused from the first where records may be dropped", async () => {
    const embedded = await start();
    const redis = await connect(embedded);
    await redis.config("SET", "maxmemory-policy", "allkeys-lru");
    await expect(assertKeepsRecords(redis)).rejects.toMatchObject({ code: "STORE_UNSAFE" });
    await embedded.stop();
  });
});
