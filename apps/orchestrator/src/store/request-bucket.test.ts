import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAppError } from "@mayfly/core";
import { connectForCommands } from "./connection.ts";
import { createSharedBucket, pauseAfter, type RequestBucket } from "./request-bucket.ts";
import { startTestRedis, type TestRedis, until } from "./test-redis.fixture.ts";

const clock = { now: () => Date.now() };

describe("the bucket of launches that services share", () => {
  let test: TestRedis;
  /** One that refills in no time that a test takes. */
  const SLOW = { burst: 5, perSecond: 0.001 };

  beforeAll(async () => {
    test = await startTestRedis();
  });

  afterAll(async () => {
    await test.end();
  });

  function open(prefix: string, size: { burst: number; perSecond: number }, name = "eu-central-1:blue"): RequestBucket {
    return createSharedBucket({ redis: test.redis, prefix, name, clock, ...size });
  }

  it("gives two who ask at once no more than its size together", async () => {
    const prefix = test.prefix();
    const second = connectForCommands(test.address);
    await until(() => second.status === "ready");
    const buckets = [
      open(prefix, SLOW),
      createSharedBucket({ redis: second, prefix, name: "eu-central-1:blue", clock, ...SLOW }),
    ];
    const turns = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => (await buckets[index % 2]?.take())?.taken),
    );
    second.disconnect();
    expect(turns.filter((taken) => taken)).toHaveLength(5);
  });

  it("never gives more than its size and what has come since", async () => {
    const prefix = test.prefix();
    const size = { burst: 3, perSecond: 50 };
    const buckets = [open(prefix, size), open(prefix, size)];
    const begunAt = performance.now();
    let taken = 0;
    while (taken < 25) {
      const turns = await Promise.all(buckets.map((bucket) => bucket.take()));
      taken += turns.filter((turn) => turn.taken).length;
      const most = size.burst + ((performance.now() - begunAt) / 1000) * size.perSecond + 1;
      expect(taken).toBeLessThanOrEqual(most);
    }
  });

  it("says when the next may be taken, and keeps its word", async () => {
    const bucket = open(test.prefix(), { burst: 1, perSecond: 20 });
    expect(await bucket.take()).toEqual({ taken: true });
    const turn = await bucket.take();
    const freeAt = turn.taken ? 0 : turn.until;
    expect(freeAt - clock.now()).toBeGreaterThan(0);
    expect(freeAt - clock.now()).toBeLessThanOrEqual(50);
    await until(() => clock.now() > freeAt);
    expect(await bucket.take()).toEqual({ taken: true });
  });

  it("pauses for all once one of them was told to, and counts refusals of one answer once", async () => {
    const prefix = test.prefix();
    const [one, other] = [open(prefix, SLOW), open(prefix, SLOW)];
    expect(await one.noteThrottled()).toBe(true);
    expect(await one.noteThrottled()).toBe(false);
    expect(await other.noteThrottled()).toBe(false);
    expect(other.pausedUntil()).toBeGreaterThan(clock.now());
    const third = open(prefix, SLOW);
    expect(third.pausedUntil()).toBe(0);
    await third.refresh();
    expect(third.pausedUntil()).toBeGreaterThan(clock.now());
    expect(await third.take()).toMatchObject({ taken: false });
    // The pause takes what was left with it: EC2's own is empty.
    await until(async () => {
      await third.refresh();
      return third.pausedUntil() < clock.now();
    });
    expect(await third.take()).toMatchObject({ taken: false });
  });

  it("pauses twice as long each time in a row, until a launch is accepted", async () => {
    const prefix = test.prefix();
    const key = `${prefix}launches:eu-central-1:blue`;
    const bucket = open(prefix, SLOW);
    const pauses: number[] = [];
    const again = async () => {
      await test.redis.hdel(key, "paused");
      await bucket.noteThrottled();
      pauses.push(Math.round((bucket.pausedUntil() - clock.now()) / 1_000) * 1_000);
    };
    for (let times = 0; times < 8; times++) {
      await again();
    }
    expect(pauses).toEqual(Array.from({ length: 8 }, (_, refusals) => pauseAfter(refusals)));
    await bucket.noteAccepted();
    await again();
    expect(pauses.at(-1)).toBe(pauseAfter(0));
  });

  it("is one for each fleet and region, and forgotten when nobody launches any more", async () => {
    const prefix = test.prefix();
    const size = { burst: 1, perSecond: 0.01 };
    const [blue, green] = [open(prefix, size), open(prefix, size, "eu-central-1:green")];
    expect(await blue.take()).toEqual({ taken: true });
    expect(await green.take()).toEqual({ taken: true });
    expect(await blue.take()).toMatchObject({ taken: false });
    expect(await test.redis.ttl(`${prefix}launches:eu-central-1:blue`)).toBeGreaterThanOrEqual(100);
  });

  it("gives nothing while Redis does not answer", async () => {
    const gone = connectForCommands({ socket: `${test.folder}/nowhere` });
    const bucket = createSharedBucket({ redis: gone, prefix: "x:", name: "r:f", clock, ...SLOW });
    await expect(bucket.take()).rejects.toSatisfy((error) => isAppError(error, "STORE_UNAVAILABLE"));
    gone.disconnect();
  });
});
