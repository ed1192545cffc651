import { describe, expect, it } from "vitest";
import { budgetScopes, priceOf } from "./budget.ts";
import type { ConfigProblem } from "./config-draft.ts";
import { type Config, parseConfig } from "./config.ts";
import { limits } from "./limits.ts";

function parse(environment: Record<string, string>, text: string) {
  return parseConfig({ environment, file: { name: "config.yaml", text } });
}

function config(environment: Record<string, string>, text = ""): Config {
  const result = parse(environment, text);
  if (!result.ok) {
    throw new Error(JSON.stringify(result.problems));
  }
  return result.config;
}

const day = { MAYFLY_MODEL_PRICES_AS_OF: "2026-01-31" };

describe("the prices of models", () => {
  it("are nobody's unless the operator gives them", () => {
    expect(config({}).model.prices).toEqual({ asOf: null, rows: [] });
  });

  it("come from the file, in its order, with the row for all others last", () => {
    const text = [
      "model:",
      "  prices:",
      "    as_of: 2026-01-31",
      "    table:",
      "      '*': { input: 9, output: 90 }",
      "      gpt-test-mini: { input: 0.25, cached_input: 0.025, output: 2 }",
      "      gpt-test*: { input: 1.25, output: 10 }",
    ].join("\n");
    const { prices } = config({}, text).model;
    expect(prices.asOf).toBe("2026-01-31");
    expect(prices.rows.map(({ model }) => model)).toEqual(["gpt-test-mini", "gpt-test*", "*"]);
    expect(priceOf("gpt-test-mini", prices)).toEqual({ input: 0.25, cachedInput: 0.025, output: 2 });
    expect(priceOf("gpt-test", prices)).toEqual({ input: 1.25, cachedInput: 1.25, output: 10 });
    expect(priceOf("other", prices).output).toBe(90);
  });

  it.each([
    '{"gpt-test": {"input": 1.25, "cached_input": 0.125, "output": 10}}',
    "{gpt-test: {input: 1.25, cached_input: 0.125, output: 10}}",
  ])("come from the environment as %s", (table) => {
    const { prices } = config({ ...day, MAYFLY_MODEL_PRICES: table }).model;
    expect(prices.rows).toEqual([{ model: "gpt-test", price: { input: 1.25, cachedInput: 0.125, output: 10 } }]);
  });

  it.each<[string, Record<string, string>, string, Partial<ConfigProblem>]>([
    [
      "prices without a day",
      { MAYFLY_MODEL_PRICES: "{a: {input: 1, output: 1}}" },
      "",
      {
        place: "MAYFLY_MODEL_PRICES",
        message: expect.stringContaining("model.prices.as_of (MAYFLY_MODEL_PRICES_AS_OF)") as string,
      },
    ],
    ["a day without prices", day, "", { place: "MAYFLY_MODEL_PRICES_AS_OF" }],
    [
      "a day that is none",
      { MAYFLY_MODEL_PRICES_AS_OF: "2026-02-30" },
      "",
      { place: "MAYFLY_MODEL_PRICES_AS_OF", message: 'must be a day such as 2026-01-31, not "2026-02-30"' },
    ],
    ["a table that is none", { ...day, MAYFLY_MODEL_PRICES: "1.25" }, "", { place: "MAYFLY_MODEL_PRICES" }],
    ["a model twice", { ...day, MAYFLY_MODEL_PRICES: "{a: {}, a: {}}" }, "", { place: "MAYFLY_MODEL_PRICES" }],
    [
      "a price that is none",
      day,
      "model:\n  prices:\n    table:\n      gpt-5.5: { input: free, output: 1 }\n",
      {
        place: "config.yaml:4:25",
        message: "model.prices.table.gpt-5.5.input: must be US dollars for a million tokens, from 0 to 10000",
      },
    ],
    [
      "a price below nothing",
      { ...day, MAYFLY_MODEL_PRICES: "{a: {input: 1, output: -1}}" },
      "",
      { place: "MAYFLY_MODEL_PRICES" },
    ],
    [
      "a row without a price for output",
      day,
      "model:\n  prices:\n    table:\n      a: { input: 1 }\n",
      { place: "config.yaml:4:10", message: expect.stringContaining("model.prices.table.a.output") as string },
    ],
    [
      "a mistyped price",
      day,
      "model:\n  prices:\n    table:\n      a: { input: 1, output: 1, cached: 1 }\n",
      { place: "config.yaml:4:33", message: 'there is no setting "model.prices.table.a.cached"' },
    ],
  ])("refuse %s", (_, environment, text, problem) => {
    const result = parse(environment, text);
    expect(result.ok ? [] : result.problems[0]).toMatchObject(problem);
  });
});

describe("budgets", () => {
  it("have a default that bounds calls and money in every scope", () => {
    const { budgets } = config({});
    for (const scope of budgetScopes) {
      expect(budgets[scope].requests).toBeGreaterThan(0);
      expect(budgets[scope].microUsd).toBeGreaterThan(0);
    }
    expect(budgets.attempt.requests).toBe(limits.modelRequestsPerAttemptMax);
    expect(budgets.run.microUsd).toBe(150_000_000);
  });

  it("are set by scope and kind, in the file or the environment, also to no limit and to nothing", () => {
    const text = "budgets:\n  attempt: { requests: 0, input_tokens: unlimited }\n  run: { usd: 0.5 }\n";
    const { budgets } = config({ MAYFLY_BUDGET_ATTEMPT_USD: "2.25", MAYFLY_BUDGET_RUN_REQUESTS: "unlimited" }, text);
    expect(budgets.attempt).toMatchObject({ requests: 0, inputTokens: null, microUsd: 2_250_000 });
    expect(budgets.run).toMatchObject({ requests: null, microUsd: 500_000 });
  });

  it.each([
    ["MAYFLY_BUDGET_RUN_USD", "much", 'must be US dollars from 0 to 1000000, or unlimited, not "much"'],
    ["MAYFLY_BUDGET_RUN_USD", "-1", 'must be US dollars from 0 to 1000000, or unlimited, not "-1"'],
    ["MAYFLY_BUDGET_RUN_USD", "1e9", 'must be US dollars from 0 to 1000000, or unlimited, not "1e9"'],
    [
      "MAYFLY_BUDGET_REPOSITORY_DAY_REQUESTS",
      "1.5",
      'must be a whole number from 0 to 1000000000000, or unlimited, not "1.5"',
    ],
  ])("refuse %s=%s and say what would do", (name, value, message) => {
    const result = parse({ [name]: value }, "");
    expect(result).toMatchObject({ ok: false, problems: [{ place: name, message }] });
  });

  it("say where a broken one stands in the file, and know a mistyped one", () => {
    const result = parse({}, "budgets:\n  run:\n    usd: much\n    request: 3\n");
    expect(result).toMatchObject({
      ok: false,
      problems: [
        {
          place: "config.yaml:3:10",
          message: expect.stringMatching(/^budgets\.run\.usd: must be US dollars/) as string,
        },
        { place: "config.yaml:4:5", suggestion: "requests" },
      ],
    });
  });
});
