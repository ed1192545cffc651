import { type AgentEvent, limits, type ResultFrame, type RunId } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createResultStore } from "./results.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

const RUN = `run_${"1".repeat(20)}` as RunId;
const KEEP_MS = 60_000;
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

function setUp() {
  const prefix = server.prefix();
  return { prefix, results: createResultStore({ redis: server.redis, prefix, keepMs: KEEP_MS }) };
}

const frame = (message: string): ResultFrame => ({ kind: "failure", epoch: 1, failure: { step: "codex", message } });
const notes = (from: number, count: number): AgentEvent[] =>
  Array.from({ length: count }, (_, i) => ({ type: "note", text: `${from + i}` }));
const textsOf = (events: AgentEvent[]) => events.map((event) => (event.type === "note" ? event.text : event.type));

describe("results", () => {
  it("keeps the first result of an epoch and answers with its digest ever after", async () => {
    const { results } = setUp();
    const first = await results.putResult(RUN, 1, frame("first"));
    expect(first).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await results.putResult(RUN, 1, frame("second"))).toBe(first);
    expect(await results.getResult(RUN, 1)).toEqual(frame("first"));
  });

  it("keeps epochs apart", async () => {
    const { results } = setUp();
    const first = await results.putResult(RUN, 1, frame("first"));
    expect(await results.putResult(RUN, 2, frame("second"))).not.toBe(first);
    expect(await results.getResult(RUN, 2)).toEqual(frame("second"));
    expect(await results.getResult(RUN, 3)).toBeNull();
  });

  it("does not keep results and events for ever", async () => {
    const { results, prefix } = setUp();
    await results.putResult(RUN, 1, frame("first"));
    await results.appendEvents(RUN, 1, 0, notes(0, 1));
    const keys = await server.redis.keys(`${prefix}*`);
    expect(keys).toHaveLength(3);
    const left = await Promise.all(keys.map((key) => server.redis.pttl(key)));
    expect(left.every((ms) => ms > 0 && ms <= KEEP_MS)).toBe(true);
  });
});

describe("events", () => {
  it("are kept in order, and counted", async () => {
    const { results } = setUp();
    expect(await results.appendEvents(RUN, 1, 0, notes(0, 3))).toBe(3);
    expect(await results.appendEvents(RUN, 1, 3, notes(3, 2))).toBe(5);
    expect(textsOf(await results.readEvents(RUN, 1))).toEqual(["0", "1", "2", "3", "4"]);
    expect(await results.readEvents(RUN, 2)).toEqual([]);
  });

  it("that were sent again are taken once", async () => {
    const { results } = setUp();
    await results.appendEvents(RUN, 1, 0, notes(0, 3));
    expect(await results.appendEvents(RUN, 1, 0, notes(0, 3))).toBe(3);
    expect(await results.appendEvents(RUN, 1, 1, notes(1, 4))).toBe(5);
    expect(textsOf(await results.readEvents(RUN, 1))).toEqual(["0", "1", "2", "3", "4"]);
  });

  it("after a gap are not taken: the agent is told where to go on", async () => {
    const { results } = setUp();
    await results.appendEvents(RUN, 1, 0, notes(0, 2));
    expect(await results.appendEvents(RUN, 1, 3, notes(3, 2))).toBe(2);
    expect(textsOf(await results.readEvents(RUN, 1))).toEqual(["0", "1"]);
  });

  it("of an empty batch change nothing", async () => {
    const { results } = setUp();
    expect(await results.appendEvents(RUN, 1, 0, [])).toBe(0);
    await results.appendEvents(RUN, 1, 0, notes(0, 2));
    expect(await results.appendEvents(RUN, 1, 2, [])).toBe(2);
  });

  it("beyond the most are counted and not kept", async () => {
    const { results } = setUp();
    const most = limits.eventsPerRunMax;
    for (let first = 0; first < most - 100; first += 700) {
      await results.appendEvents(RUN, 1, first, notes(first, 700));
    }
    const next = await results.appendEvents(RUN, 1, 0, []);
    expect(await results.appendEvents(RUN, 1, next, notes(next, 300))).toBe(next + 300);
    const kept = textsOf(await results.readEvents(RUN, 1));
    expect(next + 300).toBeGreaterThan(most);
    expect(kept).toHaveLength(most);
    expect(kept.at(-1)).toBe(String(most - 1));
  });
});
