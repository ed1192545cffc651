import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createContentCount } from "./content.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

const HOUR_MS = 3_600_000;

describe("what is written on GitHub", () => {
  let test: TestRedis;

  beforeAll(async () => {
    test = await startTestRedis();
  });

  afterAll(() => test.end());

  it("is counted for each installation and hour, by all services together", async () => {
    const prefix = test.prefix();
    let now = 10 * HOUR_MS;
    const [one, other] = [1, 2].map(() => createContentCount({ redis: test.redis, prefix, clock: { now: () => now } }));
    await Promise.all([one?.add(7), other?.add(7), one?.add(8)]);
    expect([await one?.used(7), await other?.used(8), await one?.used(9)]).toEqual([2, 1, 0]);
    now += HOUR_MS;
    expect(await one?.used(7)).toBe(0);
  });

  it("is forgotten by itself", async () => {
    const prefix = test.prefix();
    await createContentCount({ redis: test.redis, prefix, clock: { now: () => 0 } }).add(7);
    const [key = ""] = await test.redis.keys(`${prefix}content:*`);
    expect(await test.redis.ttl(key)).toBeGreaterThan(0);
  });
});
