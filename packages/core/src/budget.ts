import { z } from "zod";
import { matchesGlob } from "./glob.ts";

/** What model calls take. Money is in millionths of a US dollar. All are whole numbers, 0 or more. */
export interface Amounts {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly microUsd: number;
}
export type AmountKind = keyof Amounts;
export const amountKinds = ["requests", "inputTokens", "outputTokens", "microUsd"] as const satisfies AmountKind[];

export const nothingSpent: Amounts = { requests: 0, inputTokens: 0, outputTokens: 0, microUsd: 0 };

/** What a budget is for. A day is one in UTC. */
export const budgetScopes = ["attempt", "run", "repository_day", "installation_day"] as const;
export type BudgetScope = (typeof budgetScopes)[number];

/** The most of each kind, or what is left of it; null where there is no limit. */
export type AmountLimits = { readonly [Kind in AmountKind]: number | null };
export type Budgets = Readonly<Record<BudgetScope, AmountLimits>>;

/** US dollars for a million tokens, which is the same as millionths of a dollar for one. */
export interface Price {
  readonly input: number;
  readonly cachedInput: number;
  readonly output: number;
}

export interface Prices {
  /** The day of the operator's own table, `YYYY-MM-DD`; null where there is none. */
  readonly asOf: string | null;
  /** By model, with `*` for any characters but `/`; `*` alone stands for every model. The first row that fits counts. */
  readonly rows: readonly { readonly model: string; readonly price: Price }[];
}

/**
 * Assumed for a model without a price of the operator's: deliberately dear, so that a forgotten row ends a run early
 * instead of costing more than anyone agreed to. It is no vendor's price.
 */
export const dearPrice: Price = { input: 15, cachedInput: 15, output: 120 };

/** No model takes or makes as many tokens in one call; a count above it is a fault of whoever reports it. */
const CALL_TOKENS_MAX = 100_000_000;
/** Prices are exact to a millionth of a dollar for a million tokens. */
const PRICE_PARTS = 1_000_000;

const Tokens = z.int().min(0).max(CALL_TOKENS_MAX);

/** What the Responses API reports with a finished answer: the fields that cost something. */
export const ModelUsage = z.object({
  input_tokens: Tokens,
  input_tokens_details: z.object({ cached_tokens: Tokens.optional() }).nullish(),
  output_tokens: Tokens,
});
export type ModelUsage = z.infer<typeof ModelUsage>;

/** What this model costs: the dear price where no row fits, since none is free for want of a row. */
export function priceOf(model: string, prices: Prices): Price {
  return rowOf(model, prices)?.price ?? dearPrice;
}

/** The day of the operator's own price for this model, `YYYY-MM-DD`; null if it has none and the dear one is assumed. */
export function pricedAsOf(model: string, prices: Prices): string | null {
  return rowOf(model, prices) === undefined ? null : prices.asOf;
}

/** The cost of one call in millionths of a US dollar, rounded up. Cached tokens beyond the input's count as the input's. */
export function costOf(usage: ModelUsage, price: Price): number {
  const cached = Math.min(usage.input_tokens_details?.cached_tokens ?? 0, usage.input_tokens);
  const parts =
    partsOf(usage.input_tokens - cached, price.input) +
    partsOf(cached, price.cachedInput) +
    partsOf(usage.output_tokens, price.output);
  return Number((parts + BigInt(PRICE_PARTS - 1)) / BigInt(PRICE_PARTS));
}

/** What a finished call took. */
export function amountsOf(usage: ModelUsage, price: Price): Amounts {
  return {
    requests: 1,
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    microUsd: costOf(usage, price),
  };
}

/** What a call may take at most: nothing of its input is cached, unless that is the dearer case. */
export function reservationFor(most: { inputTokensMax: number; outputTokensMax: number }, price: Price): Amounts {
  const input = Math.max(price.input, price.cachedInput);
  return amountsOf({ input_tokens: most.inputTokensMax, output_tokens: most.outputTokensMax }, { ...price, input });
}

/** The kind that has reached its limit, if one has. A call may be made while there is none. */
export function exhausted(spent: Amounts, limits: AmountLimits): AmountKind | null {
  return (
    amountKinds.find((kind) => {
      const limit = limits[kind];
      return limit !== null && spent[kind] >= limit;
    }) ?? null
  );
}

/** What is left of each kind, never below 0: the last call may take more than there was. */
export function remaining(spent: Amounts, limits: AmountLimits): AmountLimits {
  const left = (kind: AmountKind): number | null => {
    const limit = limits[kind];
    return limit === null ? null : Math.max(0, limit - spent[kind]);
  };
  return {
    requests: left("requests"),
    inputTokens: left("inputTokens"),
    outputTokens: left("outputTokens"),
    microUsd: left("microUsd"),
  };
}

function rowOf(model: string, prices: Prices): Prices["rows"][number] | undefined {
  return prices.rows.find((row) => row.model === "*" || matchesGlob(row.model, model));
}

/** Millionths of millionths of a dollar: whole numbers, so that no rounding adds up. */
function partsOf(tokens: number, price: number): bigint {
  return BigInt(tokens) * BigInt(Math.round(price * PRICE_PARTS));
}
