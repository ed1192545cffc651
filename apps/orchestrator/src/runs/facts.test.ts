import {
  type Budgets,
  defaultTask,
  type Prices,
  requestRun,
  type Run,
  type RunId,
  type RunRequest,
} from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createModelSpend, spendPlaceOf } from "../store/model-spend.ts";
import { createRecordStore } from "../store/records.ts";
import { createResultStore } from "../store/results.ts";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { createGatherFacts } from "./facts.ts";

const RUN = `run_${"1".repeat(20)}` as RunId;
const KEEP_MS = 60_000;
const NOW = Date.UTC(2026, 0, 2, 12);
const call = { requests: 1, inputTokens: 60, outputTokens: 5, microUsd: 10 };
const limits = { requests: 9, inputTokens: 100, outputTokens: 50, microUsd: 30 };
const budgets: Budgets = {
  attempt: limits,
  run: limits,
  repository_day: { ...limits, microUsd: null },
  installation_day: limits,
};
const prices: Prices = {
  asOf: "2026-01-01",
  rows: [{ model: "gpt-priced", price: { input: 1, cachedInput: 1, output: 1 } }],
};
const onPullRequest = {
  kind: "pull_request",
  installation: 8,
  repository: { id: 7, owner: "acme", name: "app" },
} as RunRequest["origin"];
const onFolder: RunRequest["origin"] = { kind: "local", user: "alice", path: "/srv/app" };
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

function setUp() {
  const shared = { redis: server.redis, prefix: server.prefix() };
  const spend = createModelSpend({ ...shared, clock: { now: () => NOW }, keepMs: KEEP_MS });
  const store = createRecordStore({ ...shared, keepFinishedMs: KEEP_MS });
  const results = createResultStore({ ...shared, keepMs: KEEP_MS });
  return { spend, gather: createGatherFacts({ store, results, spend, budgets, prices }) };
}

function runOn(origin: RunRequest["origin"], model: string, epoch: number): Run {
  const request = { origin, requestedAt: NOW, task: defaultTask("t", model), taskDigest: null, prompt: "" };
  return { ...requestRun({ id: RUN, request, now: NOW }), epoch };
}

describe("the facts of a run's spending", () => {
  it("are what all attempts took, what is left of every budget, and what was refused", async () => {
    const { spend, gather } = setUp();
    const run = runOn(onPullRequest, "gpt-priced", 2);
    const place = spendPlaceOf(run.request);
    for (const epoch of [1, 2]) {
      await spend.reserve({ run: RUN, epoch, ...place }, call, budgets);
    }
    await spend.countRefusal(RUN, "MODEL_OTHER");
    expect(await gather(run)).toMatchObject({
      result: null,
      spend: {
        spent: { requests: 2, inputTokens: 120, outputTokens: 10, microUsd: 20 },
        left: {
          attempt: { requests: 8, inputTokens: 40, outputTokens: 45, microUsd: 20 },
          run: { requests: 7, inputTokens: 0, outputTokens: 40, microUsd: 10 },
          repository_day: { requests: 7, microUsd: null },
          installation_day: { requests: 7, microUsd: 10 },
        },
        pricedAsOf: "2026-01-01",
        refusals: [{ code: "MODEL_OTHER", count: 1, words: expect.stringContaining("another model") as string }],
      },
    });
  });

  it("have no days where there is no repository, and no date where the price is assumed", async () => {
    const { gather } = setUp();
    const { spend } = await gather(runOn(onFolder, "gpt-else", 1));
    expect(Object.keys(spend?.left ?? {})).toEqual(["attempt", "run"]);
    expect(spend?.pricedAsOf).toBeNull();
  });

  it("are none for a run that had no attempt", async () => {
    const { gather } = setUp();
    expect(await gather(runOn(onPullRequest, "gpt-priced", 0))).toEqual({ result: null, machines: [], spend: null });
  });
});
