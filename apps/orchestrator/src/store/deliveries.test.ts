import type { DeliveryId, RunId } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDeliveryStore } from "./deliveries.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

const KEEP_MS = 60_000;
const [FIRST, SECOND] = ["d-1", "d-2"] as [DeliveryId, DeliveryId];
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

function setUp() {
  const prefix = server.prefix();
  let now = 1_700_000_000_000;
  const clock = { now: () => (now += 1) };
  return { prefix, deliveries: createDeliveryStore({ redis: server.redis, prefix, keepMs: KEEP_MS, clock }) };
}

describe("deliveries", () => {
  it("are accepted once, with the body that came first", async () => {
    const { deliveries } = setUp();
    expect(await deliveries.isKnown(FIRST)).toBe(false);
    expect(await deliveries.accept({ id: FIRST, event: "pull_request", body: "one" })).toBe("accepted");
    expect(await deliveries.accept({ id: FIRST, event: "push", body: "two" })).toBe("known");
    expect(await deliveries.isKnown(FIRST)).toBe(true);
    expect(await deliveries.loadOpen(FIRST)).toMatchObject({
      record: { id: FIRST, event: "pull_request", state: "accepted", run: null },
      body: "one",
    });
  });

  it("are accepted by one of many that try at once", async () => {
    const { deliveries } = setUp();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => deliveries.accept({ id: FIRST, event: "push", body: `${i}` })),
    );
    expect(answers.filter((answer) => answer === "accepted")).toHaveLength(1);
  });

  it("stay open until they are closed, and are still known then", async () => {
    const { deliveries, prefix } = setUp();
    await deliveries.accept({ id: FIRST, event: "push", body: "one" });
    await deliveries.accept({ id: SECOND, event: "push", body: "two" });
    expect((await deliveries.listOpen()).sort()).toEqual([FIRST, SECOND]);
    await deliveries.close(FIRST, "ignored", "nothing to do");
    expect(await deliveries.listOpen()).toEqual([SECOND]);
    expect(await deliveries.loadOpen(FIRST)).toBeNull();
    expect(await deliveries.accept({ id: FIRST, event: "push", body: "one" })).toBe("known");
    expect(await server.redis.exists(`${prefix}delivery:${FIRST}:body`)).toBe(0);
    expect(await deliveries.listRecent(10)).toMatchObject([
      { id: SECOND, state: "accepted" },
      { id: FIRST, state: "ignored", reason: "nothing to do" },
    ]);
    expect(await deliveries.listRecent(0)).toEqual([]);
  });

  it("name one run, however often the step is repeated", async () => {
    const { deliveries } = setUp();
    await deliveries.accept({ id: FIRST, event: "push", body: "one" });
    expect(await deliveries.ensureRun(FIRST, "run_a" as RunId)).toBe("run_a");
    expect(await deliveries.ensureRun(FIRST, "run_b" as RunId)).toBe("run_a");
    expect((await deliveries.loadOpen(FIRST))?.record.run).toBe("run_a");
  });

  it("name one run a part, where they start several", async () => {
    const { deliveries } = setUp();
    await deliveries.accept({ id: FIRST, event: "push", body: "one" });
    expect(await deliveries.runOf(FIRST, "7")).toBeNull();
    expect(await deliveries.ensureRun(FIRST, "run_a" as RunId, "7")).toBe("run_a");
    expect(await deliveries.ensureRun(FIRST, "run_b" as RunId, "7")).toBe("run_a");
    expect(await deliveries.ensureRun(FIRST, "run_c" as RunId, "8")).toBe("run_c");
    expect(await deliveries.runOf(FIRST, "7")).toBe("run_a");
    expect((await deliveries.get(FIRST))?.run).toBeNull();
  });

  it("are taken anew once they came to nothing, and only then", async () => {
    const { deliveries } = setUp();
    for (const [id, state] of [[FIRST, "started"] as const, [SECOND, "ignored"] as const]) {
      await deliveries.accept({ id, event: "push", body: "one" });
      await deliveries.forgetIgnored(id);
      expect(await deliveries.accept({ id, event: "push", body: "one" })).toBe("known");
      await deliveries.close(id, state, "so it is");
      await deliveries.forgetIgnored(id);
    }
    expect(await deliveries.accept({ id: FIRST, event: "push", body: "one" })).toBe("known");
    expect(await deliveries.accept({ id: SECOND, event: "push", body: "one" })).toBe("accepted");
  });

  it("claim a meaning once, and again by the same delivery", async () => {
    const { deliveries } = setUp();
    expect(await deliveries.claimMeaning("1:2:label", FIRST)).toEqual({ first: true });
    expect(await deliveries.claimMeaning("1:2:label", FIRST)).toEqual({ first: true });
    expect(await deliveries.claimMeaning("1:2:label", SECOND)).toEqual({ first: false, by: FIRST });
    expect(await deliveries.claimMeaning("1:3:label", SECOND)).toEqual({ first: true });
  });

  it("are forgotten in the end, with all that hangs on them", async () => {
    const { deliveries, prefix } = setUp();
    await deliveries.accept({ id: FIRST, event: "push", body: "one" });
    await deliveries.claimMeaning("m", FIRST);
    await deliveries.ensureRun(FIRST, "run_a" as RunId);
    await deliveries.accept({ id: SECOND, event: "push", body: "two" });
    await deliveries.close(SECOND, "applied", "");
    const keys = (await server.redis.keys(`${prefix}*`)).filter((key) => !key.startsWith(`${prefix}deliveries:`));
    expect(keys).toHaveLength(4);
    const left = await Promise.all(keys.map((key) => server.redis.pttl(key)));
    expect(left.every((ms) => ms > 0 && ms <= KEEP_MS)).toBe(true);
  });

  it("that have expired are not listed, and leave nothing behind when closed late", async () => {
    const { deliveries, prefix } = setUp();
    await deliveries.accept({ id: FIRST, event: "push", body: "one" });
    await server.redis.del(`${prefix}delivery:${FIRST}`, `${prefix}delivery:${FIRST}:body`);
    expect(await deliveries.listRecent(10)).toEqual([]);
    expect(await deliveries.loadOpen(FIRST)).toBeNull();
    await deliveries.close(FIRST, "ignored", "expired");
    expect(await deliveries.isKnown(FIRST)).toBe(false);
    expect(await deliveries.listOpen()).toEqual([]);
  });
});
