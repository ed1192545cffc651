import { type Amounts, type AmountLimits, type Budgets, nothingSpent, type RunId } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectForCommands, waitUntilReady } from "./connection.ts";
import { createModelSpend, type SpendAttempt } from "./model-spend.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

const RUN = `run_${"1".repeat(20)}` as RunId;
const OTHER = `run_${"2".repeat(20)}` as RunId;
const KEEP_MS = 60_000;
const NOON = Date.UTC(2026, 0, 2, 12);
const DAY_MS = 24 * 3600 * 1000;
const place = { repository: 7, installation: 8 };
const attempt: SpendAttempt = { run: RUN, epoch: 1, ...place };
const most: Amounts = { requests: 1, inputTokens: 100, outputTokens: 50, microUsd: 30 };
const taken: Amounts = { requests: 1, inputTokens: 40, outputTokens: 5, microUsd: 8 };
const boundless: AmountLimits = { requests: null, inputTokens: null, outputTokens: null, microUsd: null };
const unlimited: Budgets = {
  attempt: boundless,
  run: boundless,
  repository_day: boundless,
  installation_day: boundless,
};
const limited = (scope: keyof Budgets, limits: Partial<AmountLimits>): Budgets => {
  return { ...unlimited, [scope]: { ...boundless, ...limits } };
};
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

function setUp() {
  const prefix = server.prefix();
  const clock = { at: NOON, now: () => clock.at };
  const open = () => createModelSpend({ redis: server.redis, prefix, clock, keepMs: KEEP_MS });
  return { prefix, clock, open, spend: open() };
}

async function reserved(spend: ReturnType<typeof setUp>["spend"], whose: SpendAttempt = attempt, amounts = most) {
  const answer = await spend.reserve(whose, amounts, unlimited);
  if (!answer.ok) {
    throw new Error(`refused: ${answer.scope}, ${answer.kind}`);
  }
  return answer.reservation;
}

describe("a reservation", () => {
  it("is charged to the attempt, the run and the day of repository and installation", async () => {
    const { spend } = setUp();
    await reserved(spend);
    await reserved(spend, { ...attempt, epoch: 2 });
    await reserved(spend, { ...attempt, run: OTHER });
    await reserved(spend, { ...attempt, run: OTHER, repository: 9 });
    const times = (n: number): Amounts => {
      return { requests: n, inputTokens: n * 100, outputTokens: n * 50, microUsd: n * 30 };
    };
    expect(await spend.read(RUN, 1, place)).toEqual({
      attempt: times(1),
      run: times(2),
      repositoryDay: times(3),
      installationDay: times(4),
      refusals: {},
    });
  });

  it("of a run on no repository is charged to the attempt and the run alone", async () => {
    const { spend, prefix } = setUp();
    await reserved(spend, { ...attempt, repository: null, installation: null });
    expect(await server.redis.keys(`${prefix}spend:*`)).toHaveLength(3);
    const nowhere = { repository: null, installation: null };
    expect(await spend.read(RUN, null, nowhere)).toMatchObject({
      attempt: nothingSpent,
      run: most,
      repositoryDay: nothingSpent,
    });
  });

  it.each([
    ["attempt", "requests", 1],
    ["run", "inputTokens", 100],
    ["repository_day", "outputTokens", 50],
    ["installation_day", "microUsd", 30],
  ] as const)("is refused once the %s has reached its %s, and then nothing is charged", async (scope, kind, limit) => {
    const { spend } = setUp();
    const budgets = limited(scope, { [kind]: limit });
    expect(await spend.reserve(attempt, most, budgets)).toMatchObject({ ok: true });
    const before = await spend.read(RUN, 1, place);
    expect(await spend.reserve(attempt, most, budgets)).toEqual({
      ok: false,
      scope,
      kind,
      limit,
      outputTokensLeft: null,
    });
    expect(await spend.read(RUN, 1, place)).toEqual(before);
  });

  it("is never admitted by a limit of nothing", async () => {
    const { spend } = setUp();
    expect(await spend.reserve(attempt, most, limited("run", { microUsd: 0 }))).toMatchObject({ ok: false });
  });

  it("overshoots by one call at most, however many ask at once over several connections", async () => {
    const { prefix, clock, spend } = setUp();
    const second = connectForCommands(server.address);
    await waitUntilReady(second, 10_000);
    const other = createModelSpend({ redis: second, prefix, clock, keepMs: KEEP_MS });
    const budgets = limited("run", { inputTokens: 950 });
    const asked = Array.from({ length: 25 }, () => [spend, other].map((one) => one.reserve(attempt, most, budgets)));
    const answers = await Promise.all(asked.flat());
    second.disconnect();
    expect(answers.filter(({ ok }) => ok)).toHaveLength(10);
    expect((await spend.read(RUN, 1, place)).run.inputTokens).toBe(1_000);
  });

  it("stays charged when the process that made it is gone", async () => {
    const { spend, open } = setUp();
    const budgets = limited("run", { requests: 1 });
    await spend.reserve(attempt, most, budgets);
    const next = open();
    expect(await next.reserve({ ...attempt, epoch: 2 }, most, budgets)).toMatchObject({ ok: false, scope: "run" });
    expect((await next.read(RUN, 1, place)).run).toEqual(most);
  });

  it("takes whole amounts only", async () => {
    const { spend } = setUp();
    await expect(spend.reserve(attempt, { ...most, microUsd: 0.5 }, unlimited)).rejects.toThrow("whole number");
    await expect(spend.reserve(attempt, { ...most, inputTokens: -1 }, unlimited)).rejects.toThrow("whole number");
  });
});

describe("a reservation with a price of output", () => {
  it("is refused with what is left when its answer is longer, by the narrowest budget, and charges nothing", async () => {
    const { spend } = setUp();
    const budgets = { ...limited("run", { microUsd: 1_000 }), attempt: { ...unlimited.attempt, outputTokens: 45 } };
    expect(await spend.reserve(attempt, most, budgets, 25)).toEqual({
      ok: false,
      scope: "run",
      kind: "microUsd",
      limit: 1_000,
      outputTokensLeft: 40,
    });
    expect((await spend.read(RUN, 1, place)).run).toEqual(nothingSpent);
    expect(await spend.reserve(attempt, { ...most, outputTokens: 40 }, budgets, 25)).toMatchObject({ ok: true });
  });

  it("lets no two calls at once have the same tokens", async () => {
    const { spend } = setUp();
    const budgets = limited("run", { outputTokens: most.outputTokens + 10 });
    const both = await Promise.all([1, 2].map(() => spend.reserve(attempt, most, budgets, 0)));
    expect(both).toMatchObject([{ ok: true }, { ok: false, outputTokensLeft: 10 }]);
  });
});

describe("settling", () => {
  it("corrects every counter to what the call took", async () => {
    const { spend } = setUp();
    await spend.settle(await reserved(spend), taken);
    const { attempt: own, run, repositoryDay, installationDay } = await spend.read(RUN, 1, place);
    expect([own, run, repositoryDay, installationDay]).toEqual([taken, taken, taken, taken]);
  });

  it("counts once, also when it is repeated at once or with other amounts", async () => {
    const { spend } = setUp();
    const reservation = await reserved(spend);
    await reserved(spend);
    await Promise.all(Array.from({ length: 5 }, () => spend.settle(reservation, taken)));
    await spend.settle(reservation, nothingSpent);
    expect((await spend.read(RUN, 1, place)).run).toEqual({
      requests: 2,
      inputTokens: 140,
      outputTokens: 55,
      microUsd: 38,
    });
  });

  it("makes room again", async () => {
    const { spend } = setUp();
    const budgets = limited("attempt", { outputTokens: 50 });
    const first = await reserved(spend);
    expect(await spend.reserve(attempt, most, budgets)).toMatchObject({ ok: false });
    await spend.settle(first, taken);
    expect(await spend.reserve(attempt, most, budgets)).toMatchObject({ ok: true });
  });

  it("may find that the call took more than was reserved", async () => {
    const { spend } = setUp();
    const more = { ...taken, outputTokens: 5_000 };
    await spend.settle(await reserved(spend), more);
    expect((await spend.read(RUN, 1, place)).run).toEqual(more);
  });

  it("brings nothing back that has expired", async () => {
    const { spend, prefix } = setUp();
    const reservation = await reserved(spend);
    await server.redis.del(`${prefix}spend:run:${RUN}`);
    await spend.settle(reservation, taken);
    const { run, attempt: own } = await spend.read(RUN, 1, place);
    expect({ run, own }).toEqual({ run: nothingSpent, own: taken });
  });
});

describe("a day", () => {
  it("ends at midnight in UTC, and a call that began before it is settled on its own day", async () => {
    const { spend, clock } = setUp();
    clock.at = Date.UTC(2026, 0, 2, 23, 59, 59, 999);
    const budgets = limited("repository_day", { requests: 1 });
    const before = await reserved(spend);
    expect(await spend.reserve(attempt, most, budgets)).toMatchObject({ ok: false, scope: "repository_day" });
    clock.at += 1;
    expect(await spend.reserve(attempt, most, budgets)).toMatchObject({ ok: true });
    await spend.settle(before, taken);
    expect((await spend.read(RUN, 1, place)).repositoryDay).toEqual(most);
    clock.at -= DAY_MS;
    expect((await spend.read(RUN, 1, place)).repositoryDay).toEqual(taken);
  });
});

describe("refusals", () => {
  it("are counted by run and code", async () => {
    const { spend } = setUp();
    await Promise.all(["TOOL_HOSTED", "TOOL_HOSTED", "BODY_NOT_JSON"].map((code) => spend.countRefusal(RUN, code)));
    await spend.countRefusal(OTHER, "TOOL_HOSTED");
    expect((await spend.read(RUN, 1, place)).refusals).toEqual({ TOOL_HOSTED: 2, BODY_NOT_JSON: 1 });
  });

  it("are bounded in kinds and length, and known ones are counted all the same", async () => {
    const { spend } = setUp();
    await Promise.all(Array.from({ length: 100 }, (_, i) => spend.countRefusal(RUN, `${i}`.padEnd(500, "x"))));
    const { refusals } = await spend.read(RUN, 1, place);
    const codes = Object.keys(refusals);
    expect(codes).toHaveLength(64);
    expect(codes.every((code) => code.length <= 64)).toBe(true);
    await spend.countRefusal(RUN, codes[0] ?? "");
    expect((await spend.read(RUN, 1, place)).refusals[codes[0] ?? ""]).toBe(2);
  });
});

describe("the counters", () => {
  it("all expire: a run's with its record, a day's after the next", async () => {
    const { spend, prefix } = setUp();
    await reserved(spend);
    await spend.countRefusal(RUN, "TOOL_HOSTED");
    const keys = (await server.redis.keys(`${prefix}spend:*`)).toSorted();
    const left = await Promise.all(keys.map((key) => server.redis.pttl(key)));
    const longest = keys.map((key) => (/:(repository|installation):/.test(key) ? 2 * DAY_MS : KEEP_MS));
    expect(keys).toHaveLength(6);
    expect(left.every((ms, i) => ms > 0 && ms <= (longest[i] ?? 0))).toBe(true);
  });

  it("say that the store does not answer", async () => {
    const { prefix, clock } = setUp();
    const redis = connectForCommands(server.address);
    await waitUntilReady(redis, 10_000);
    redis.disconnect();
    const spend = createModelSpend({ redis, prefix, clock, keepMs: KEEP_MS });
    await expect(spend.reserve(attempt, most, unlimited)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await expect(spend.read(RUN, 1, place)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await expect(spend.countRefusal(RUN, "X")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });
});
