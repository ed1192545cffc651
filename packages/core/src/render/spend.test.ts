import { describe, expect, it } from "vitest";
import type { AmountLimits } from "../budget.ts";
import { limits } from "../limits.ts";
import { modelRefusals } from "../model-request/refusal.ts";
import { renderComment } from "./comment.ts";
import { endedRun, endings, reportInput, spend } from "./run.fixture.ts";
import { refusalsOf, renderSpend, renderUsd } from "./spend.ts";

const none: AmountLimits = { requests: null, inputTokens: null, outputTokens: null, microUsd: null };

describe("the spending of a run", () => {
  it("is one line with what is left, and one with what was refused", () => {
    expect(renderSpend(spend)).toEqual([
      "Model: 7 calls, 1,234,567 tokens in, 890 tokens out, $0.19; left of the run's budget: 743 calls, 28,765,433 tokens in, 1,499,110 tokens out, $149.81",
      "Refused model calls: 2 × URL_REFERENCE (it holds an address); 1 × TOOL_HOSTED (it offers a tool that runs elsewhere)",
    ]);
  });

  it("says so when the price is an assumed one", () => {
    expect(renderSpend({ ...spend, pricedAsOf: null })[0]).toContain(
      "$0.19 at an assumed high price (none is set for this model)",
    );
  });

  it("says nothing of a budget without a limit", () => {
    const [line, ...more] = renderSpend({ ...spend, left: { run: none }, refusals: [] });
    expect(line).toBe("Model: 7 calls, 1,234,567 tokens in, 890 tokens out, $0.19");
    expect(more).toEqual([]);
  });

  it("names every budget that is spent, and by what", () => {
    const left = { run: { ...none, requests: 0, microUsd: 0 }, repository_day: { ...none, outputTokens: 0 } };
    expect(renderSpend({ ...spend, left, refusals: [] }).slice(1)).toEqual([
      "Spent: the run's budget (calls, money)",
      "Spent: the repository's budget of the day (tokens out)",
    ]);
  });

  it("never shows a remainder below nothing", () => {
    const run = { requests: -1, inputTokens: -5, outputTokens: -5, microUsd: -5_000_000 };
    expect(renderSpend({ ...spend, left: { run } })[0]).toContain("0 calls, 0 tokens in, 0 tokens out, $0.00");
  });

  it("stands in the comment without room for hostile codes, however many", () => {
    const codes = Array.from({ length: 64 }, (_, i) => [`${i}\`@alice ${"`".repeat(50)}`, 1_000_000 - i]);
    const refusals = refusalsOf(Object.fromEntries(codes) as Record<string, number>);
    const text = renderComment(endedRun(endings.succeeded), {
      ...reportInput("x".repeat(300_000)),
      spend: { ...spend, refusals },
    });
    expect(text.length).toBeLessThanOrEqual(limits.commentCharsMax);
    expect(text).toContain("; 52 more codes");
    expect(text.replace(/(`+)[^\n]*?\1(?!`)/g, "")).not.toContain("@alice");
  });
});

describe("refusals", () => {
  it("come the most frequent first, with the meaning of those in the table", () => {
    expect(refusalsOf({ constructor: 1, BUDGET_SPENT: 3, MODEL_OTHER: 3 })).toEqual([
      { code: "BUDGET_SPENT", count: 3, words: "a budget for model calls is spent" },
      { code: "MODEL_OTHER", count: 3, words: modelRefusals.MODEL_OTHER },
      { code: "constructor", count: 1, words: "" },
    ]);
  });
});

describe("money", () => {
  it.each([
    [0, "$0.00"],
    [1, "$0.01"],
    [10_000, "$0.01"],
    [10_001, "$0.02"],
    [187_345, "$0.19"],
    [1_234_560_000, "$1,234.56"],
    [-3, "$0.00"],
  ])("of %d millionths is %s", (microUsd, text) => {
    expect(renderUsd(microUsd)).toBe(text);
  });
});
