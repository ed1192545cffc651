import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  amountKinds,
  type AmountLimits,
  amountsOf,
  costOf,
  dearPrice,
  exhausted,
  ModelUsage,
  nothingSpent,
  type Price,
  pricedAsOf,
  priceOf,
  type Prices,
  remaining,
  reservationFor,
} from "./budget.ts";

const cheap: Price = { input: 1.25, cachedInput: 0.125, output: 10 };
const other: Price = { input: 2, cachedInput: 2, output: 20 };
const prices = (...models: string[]): Prices => {
  return { asOf: "2026-01-02", rows: models.map((model, i) => ({ model, price: i === 0 ? cheap : other })) };
};
const none: AmountLimits = { requests: null, inputTokens: null, outputTokens: null, microUsd: null };
const usage = (input_tokens: number, cached_tokens: number, output_tokens: number): ModelUsage => {
  return { input_tokens, input_tokens_details: { cached_tokens }, output_tokens };
};

describe("a model's price", () => {
  it("is that of the first row that fits", () => {
    expect(priceOf("gpt-test-mini", prices("gpt-test-*", "gpt-*"))).toBe(cheap);
    expect(priceOf("gpt-else", prices("gpt-test-*", "gpt-*"))).toBe(other);
  });

  it("is that of every model, also of one with a slash in its name", () => {
    expect(priceOf("example/model", prices("gpt-*", "*"))).toBe(other);
    expect(pricedAsOf("example/model", prices("gpt-*", "*"))).toBe("2026-01-02");
  });

  it("is never free for want of a row, and has no date then", () => {
    for (const table of [prices("gpt-*"), { asOf: null, rows: [] }]) {
      expect(priceOf("unheard-of", table)).toBe(dearPrice);
      expect(pricedAsOf("unheard-of", table)).toBeNull();
    }
  });
});

describe("the cost of a call", () => {
  it.each([
    [usage(1_000_000, 0, 0), 1_250_000],
    [usage(1_000_000, 1_000_000, 0), 125_000],
    [usage(1_000, 400, 10), 900],
    [usage(0, 0, 0), 0],
    [usage(1, 1, 0), 1],
    [{ input_tokens: 8, output_tokens: 0 }, 10],
    [{ input_tokens: 8, input_tokens_details: null, output_tokens: 0 }, 10],
  ])("of %j is %d millionths of a dollar", (one, cost) => {
    expect(costOf(one, cheap)).toBe(cost);
  });

  it("takes no more tokens for cached than there were", () => {
    expect(costOf(usage(10, 1_000_000, 0), { input: 1, cachedInput: 1, output: 1 })).toBe(10);
  });

  it("is a whole number, never below the true one and never a millionth above it", () => {
    const price = fc.integer({ min: 0, max: 10_000_000 }).map((thousandths) => thousandths / 1_000);
    const tokens = fc.integer({ min: 0, max: 100_000_000 });
    fc.assert(
      fc.property(tokens, tokens, price, price, (input, output, each, made) => {
        const cost = costOf(usage(input, 0, output), { input: each, cachedInput: 0, output: made });
        const thousandths =
          BigInt(input) * BigInt(Math.round(each * 1_000)) + BigInt(output) * BigInt(Math.round(made * 1_000));
        const over = BigInt(cost) * 1_000n - thousandths;
        expect(Number.isSafeInteger(cost) && over >= 0n && over < 1_000n).toBe(true);
      }),
    );
  });
});

describe("a reservation", () => {
  it("covers whatever a call within its bounds may take", () => {
    const most = { inputTokensMax: 5_000, outputTokensMax: 700 };
    const price = fc.record({
      input: fc.integer({ min: 0, max: 50 }),
      cachedInput: fc.integer({ min: 0, max: 50 }),
      output: fc.integer({ min: 0, max: 50 }),
    });
    fc.assert(
      fc.property(price, fc.nat(5_000), fc.nat(5_000), fc.nat(700), (row, input, cached, output) => {
        const actual = amountsOf(usage(input, cached, output), row);
        const reserved = reservationFor(most, row);
        expect(amountKinds.every((kind) => actual[kind] <= reserved[kind])).toBe(true);
      }),
    );
    expect(reservationFor(most, cheap)).toEqual({
      requests: 1,
      inputTokens: 5_000,
      outputTokens: 700,
      microUsd: 13_250,
    });
  });
});

describe("a budget", () => {
  it("is spent when one kind reaches its limit", () => {
    const spent = { ...nothingSpent, requests: 3, microUsd: 10 };
    expect(exhausted(spent, none)).toBeNull();
    expect(exhausted(spent, { ...none, requests: 4, microUsd: 11 })).toBeNull();
    expect(exhausted(spent, { ...none, requests: 3 })).toBe("requests");
    expect(exhausted(spent, { ...none, requests: 4, microUsd: 9 })).toBe("microUsd");
    expect(exhausted(nothingSpent, { ...none, outputTokens: 0 })).toBe("outputTokens");
  });

  it("has never less than nothing left, and no figure where it has no limit", () => {
    const spent = { requests: 3, inputTokens: 100, outputTokens: 7, microUsd: 10 };
    expect(remaining(spent, { requests: 4, inputTokens: 50, outputTokens: null, microUsd: 10 })).toEqual({
      requests: 1,
      inputTokens: 0,
      outputTokens: null,
      microUsd: 0,
    });
  });
});

describe("the usage that a model reports", () => {
  it("is read whatever else stands beside it", () => {
    const reported = { ...usage(10, 4, 2), total_tokens: 12, output_tokens_details: { reasoning_tokens: 1 } };
    expect(ModelUsage.parse(reported)).toEqual(usage(10, 4, 2));
  });

  it.each([[usage(-1, 0, 0)], [usage(0.5, 0, 0)], [usage(0, 0, 1e12)], [{ input_tokens: 1 }], [null]])(
    "is not believed if it is %j",
    (reported) => {
      expect(ModelUsage.safeParse(reported).success).toBe(false);
    },
  );
});
