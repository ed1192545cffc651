import type { RunId } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createStickyStore } from "./stickies.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

const RUN = "run_01kq3v9d5e0123456789" as RunId;

describe("a task's comment", () => {
  let test: TestRedis;

  beforeAll(async () => {
    test = await startTestRedis();
  });

  afterAll(() => test.end());

  it("is known again, with whose result it shows and whose it showed before", async () => {
    const stickies = createStickyStore({ redis: test.redis, prefix: test.prefix() });
    expect([await stickies.get("1:2:codex"), await stickies.results("1:2:codex")]).toEqual([null, null]);
    await stickies.set("1:2:codex", 5);
    await stickies.setResults("1:2:codex", { run: RUN, before: null });
    expect(await stickies.get("1:2:codex")).toBe(5);
    expect(await stickies.results("1:2:codex")).toEqual({ run: RUN, before: null });
    expect(await stickies.results("1:2:codex-other")).toBeNull();
  });

  it("is forgotten by itself", async () => {
    const prefix = test.prefix();
    const stickies = createStickyStore({ redis: test.redis, prefix });
    await stickies.set("1:2:codex", 5);
    await stickies.setResults("1:2:codex", { run: RUN, before: RUN });
    const keys = await test.redis.keys(`${prefix}*`);
    expect(await Promise.all(keys.map(async (key) => (await test.redis.ttl(key)) > 0))).toEqual([true, true]);
  });
});
