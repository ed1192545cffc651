import { type DeliveryId, limits, OperatorAsk } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDeliveryStore } from "../store/deliveries.ts";
import { createRecordStore } from "../store/records.ts";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { createAskRun } from "./ask-run.ts";

const pull = { host: null, owner: "acme", name: "app", number: 7 };
const wish = { ask: { kind: "start", pull, task: "codex-review", instructions: null }, key: "job-1" };
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

/** A service that wakes `work` with every wish, and does not wait for what it does. */
function setUp(answerMs: number, work: (id: DeliveryId) => Promise<void> = async () => undefined) {
  const prefix = server.prefix();
  const { redis } = server;
  const clock = { now: () => Date.now() };
  const deliveries = createDeliveryStore({ redis, prefix, keepMs: limits.deliveryMemoryMs, clock });
  const store = createRecordStore({ redis, prefix, keepFinishedMs: limits.finishedRunMs });
  const askRun = createAskRun({
    deliveries,
    store,
    wakeups: { wakeDelivery: async (id) => void work(id).catch(() => undefined) },
    answerMs,
  });
  return { deliveries, askRun };
}

describe("an operator's wish", () => {
  it("is kept for whoever works, though the asker stops waiting, and the same wish waits for the same", async () => {
    const { deliveries, askRun } = setUp(0);
    await expect(askRun(wish)).rejects.toMatchObject({
      code: "STILL_ASKING",
      message: expect.stringContaining("(key job-1)"),
    });
    await expect(askRun(wish)).rejects.toMatchObject({ code: "STILL_ASKING" });
    const [id, ...more] = await deliveries.listOpen();
    expect(more).toEqual([]);
    const open = id === undefined ? null : await deliveries.loadOpen(id);
    expect(OperatorAsk.parse(JSON.parse(open?.body ?? "null"))).toEqual(wish.ask);
  });

  it("that came to nothing says why, and is handled anew when it is made again", async () => {
    const handled: DeliveryId[] = [];
    const { deliveries, askRun } = setUp(limits.operatorAnswerMs, async (id) => {
      handled.push(id);
      await deliveries.close(id, "ignored", "acme/app#7 is closed");
    });
    for (let time = 1; time <= 2; time++) {
      await expect(askRun(wish)).rejects.toMatchObject({ code: "NOT_STARTED", message: "acme/app#7 is closed" });
      expect(handled).toHaveLength(time);
    }
  });

  it("keeps its key for itself while it is not answered", async () => {
    const { askRun } = setUp(0);
    await expect(askRun(wish)).rejects.toMatchObject({ code: "STILL_ASKING" });
    const other = { ...wish, ask: { ...wish.ask, task: "codex-fix" } };
    await expect(askRun(other)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: expect.stringContaining("the key job-1 was given for something else"),
    });
  });

  it.each([
    ["nothing", null],
    ["no key", { ask: wish.ask }],
    ["a key that is too long", { ...wish, key: "x".repeat(limits.operatorKeyCharsMax + 1) }],
    ["an actor of its own", { ...wish, actor: { id: 4, login: "alice", type: "User" } }],
    ["a repository out of the way", { ...wish, ask: { ...wish.ask, pull: { ...pull, name: "../app" } } }],
    ["no run", { ask: { kind: "retry", of: "run_1" }, key: "run_1" }],
  ])("of %s is refused, and nothing is kept", async (_, body) => {
    const { deliveries, askRun } = setUp(0);
    await expect(askRun(body)).rejects.toMatchObject({ code: "INPUT_INVALID" });
    expect(await deliveries.listRecent(10)).toEqual([]);
  });
});
