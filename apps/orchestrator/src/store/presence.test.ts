import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { connectForCommands, waitUntilReady } from "./connection.ts";
import { type Announced, createPresence, type Presence } from "./presence.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

const SECOND = 1_000;
let server: TestRedis;
let prefix: string;
let now: number;
let watcher: Presence;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

beforeEach(() => {
  prefix = server.prefix();
  now = 0;
  watcher = createPresence({ redis: server.redis, prefix, now: () => now });
});

/** One that said once that it is there, and says nothing more. */
async function announceAndVanish(name: string): Promise<void> {
  const redis = connectForCommands(server.address);
  await waitUntilReady(redis, 10 * SECOND);
  const announced = await createPresence({ redis, prefix }).announce("broker", name);
  redis.disconnect();
  // Its farewell reaches nobody.
  await announced.leave();
}

const there = (): Promise<string[]> => watcher.present("broker");

describe("who is there", () => {
  it("is whoever has spoken while it was watched, and not who has been silent for ten seconds of it", async () => {
    await announceAndVanish("a");
    expect(await there()).toEqual(["a"]);
    now += 9 * SECOND;
    expect(await there()).toEqual(["a"]);
    now += 2 * SECOND;
    expect(await there()).toEqual([]);
  });

  it("is nobody's clock's matter: one that begins to watch counts as there whoever it has not watched", async () => {
    await announceAndVanish("a");
    now += 3_600 * SECOND;
    expect(await there()).toEqual(["a"]);
    // Nothing of it ends by the store's own clock, which may be set forward.
    expect(await server.redis.pttl(`${prefix}beats:broker`)).toBe(-1);
  });

  it("is whoever speaks, however long nobody has looked", async () => {
    const spoken: Announced[] = [];
    for (const name of ["a", "b"]) {
      spoken.push(await watcher.announce("broker", name));
    }
    now += 60 * SECOND;
    // A beat of a, as it comes every other second, and none of b.
    await spoken[0]?.leave();
    spoken.push(await watcher.announce("broker", "a"));
    expect(await there()).toEqual(["a"]);
    await Promise.all(spoken.map((one) => one.leave()));
    expect(await there()).toEqual([]);
  });

  it("is watched anew once the store was away: those who could not speak meanwhile are not gone", async () => {
    const redis = connectForCommands(server.address);
    await waitUntilReady(redis, 10 * SECOND);
    watcher = createPresence({ redis, prefix, now: () => now });
    await announceAndVanish("a");
    expect(await there()).toEqual(["a"]);
    const isAway = once(redis, "close");
    redis.disconnect(true);
    await isAway;
    await expect(there()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    now += 60 * SECOND;
    await waitUntilReady(redis, 10 * SECOND);
    expect(await there()).toEqual(["a"]);
    now += 11 * SECOND;
    expect(await there()).toEqual([]);
    redis.disconnect();
  });

  it("is forgotten by the store too, once it is gone", async () => {
    await announceAndVanish("a");
    await there();
    now += 11 * SECOND;
    await there();
    expect(await server.redis.hgetall(`${prefix}beats:broker`)).toEqual({});
  });
});
