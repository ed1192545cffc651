import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createLeases, type Leases } from "./leases.ts";
import { startTestRedis, type TestRedis, until } from "./test-redis.fixture.ts";

let server: TestRedis;
let prefix: string;
let one: Leases;
let other: Leases;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());
beforeEach(() => {
  prefix = server.prefix();
  one = createLeases({ redis: server.redis, prefix });
  other = createLeases({ redis: server.redis, prefix });
});

describe("what is done by one process at a time", () => {
  it("is not begun by a second, and is done once more by the first because of it", async () => {
    const gate = Promise.withResolvers<void>();
    const did: string[] = [];
    const first = one.alone("run:1", async () => {
      did.push("first");
      await gate.promise;
    });
    await until(() => did.length === 1);
    await other.alone("run:1", async () => void did.push("second"));
    expect(did).toEqual(["first"]);
    gate.resolve();
    await first;
    expect(did).toEqual(["first", "first"]);
    await other.alone("run:1", async () => void did.push("second"));
    expect(did).toEqual(["first", "first", "second"]);
  });

  it("holds up nothing else", async () => {
    let isDone = false;
    await one.alone("run:1", async () => {
      await other.alone("run:2", async () => void (isDone = true));
    });
    expect(isDone).toBe(true);
  });

  it("is given back when it fails, and says how", async () => {
    const failing = one.alone("run:1", async () => {
      throw new Error("GitHub is away");
    });
    await expect(failing).rejects.toThrow("GitHub is away");
    let isDone = false;
    await other.alone("run:1", async () => void (isDone = true));
    expect(isDone).toBe(true);
  });

  it("is held on for as long as it takes, and not for ever by one that died", { timeout: 60_000 }, async () => {
    const key = `${prefix}lease:run:1`;
    const least: number[] = [];
    await one.alone("run:1", async () => {
      const from = performance.now();
      await until(async () => {
        least.push(await server.redis.pttl(key));
        return performance.now() - from > 11_000;
      });
    });
    expect(Math.min(...least)).toBeGreaterThan(1_000);
    await server.redis.set(key, "somebody who died", "PX", 50);
    let isDone = false;
    await until(async () => {
      await other.alone("run:1", async () => void (isDone = true));
      return isDone;
    });
  });
});
