import { z } from "zod";
import { type AmountLimits, type Budgets, type BudgetScope, dearPrice, type Prices } from "./budget.ts";
import { limits } from "./limits.ts";
import { setting } from "./setting.ts";

/** The word for a kind without a limit: an empty value means the default, and 0 allows nothing. */
const UNLIMITED = "unlimited";
const PRICE_USD_MAX = 10_000;
const USD_MAX = 1_000_000;
const COUNT_MAX = 1_000_000_000_000;
/** Model names of one price table. */
const ROWS_MAX = 200;
const MODEL_CHARS_MAX = 128;
const MICRO = 1_000_000;

const Dollars = z
  .number(`must be US dollars for a million tokens, from 0 to ${PRICE_USD_MAX}`)
  .min(0, `must be US dollars for a million tokens, from 0 to ${PRICE_USD_MAX}`)
  .max(PRICE_USD_MAX, `must be US dollars for a million tokens, from 0 to ${PRICE_USD_MAX}`);

const PriceRow = z.strictObject({ input: Dollars, cached_input: Dollars.optional(), output: Dollars });

/** `model.prices` */
export const PriceSettings = z.strictObject({
  as_of: setting(
    {
      environment: "MAYFLY_MODEL_PRICES_AS_OF",
      description: "The day on which you copied the prices below, `YYYY-MM-DD`. Needed with them; receipts show it.",
    },
    z.iso.date("must be a day such as 2026-01-31").nullable().default(null),
  ),
  table: setting(
    {
      environment: "MAYFLY_MODEL_PRICES",
      description:
        "What your own contract says. For each model, where `*` stands for any characters but `/` and `*` alone for all " +
        "others: `input`, `cached_input` and `output` in US dollars for a million tokens, such as " +
        "`{gpt-test: {input: 1.25, cached_input: 0.125, output: 10}}`, in the environment as here or as JSON. Mayfly " +
        `ships nobody's price list: a model without a row counts as ${dearPrice.input} for input, cached or not, and ` +
        `${dearPrice.output} for output, so that none is ever free.`,
      defaultText: "none",
    },
    z
      .record(z.string().min(1).max(MODEL_CHARS_MAX), PriceRow)
      .refine((table) => Object.keys(table).length <= ROWS_MAX, `must have at most ${ROWS_MAX} models`)
      .default({}),
  ),
});

/**
 * A half more than an attempt's for a run, since a second attempt comes only when the first machine was lost, which is mostly
 * early. Days are bounded by calls and money, which bound tokens too.
 */
const defaults = {
  attempt: {
    requests: limits.modelRequestsPerAttemptMax,
    input_tokens: 20_000_000,
    output_tokens: 1_000_000,
    usd: 100,
  },
  run: { requests: 750, input_tokens: 30_000_000, output_tokens: 1_500_000, usd: 150 },
  repository_day: { requests: 5_000, input_tokens: UNLIMITED, output_tokens: UNLIMITED, usd: 500 },
  installation_day: { requests: 20_000, input_tokens: UNLIMITED, output_tokens: UNLIMITED, usd: 2_000 },
} as const;

const scopes: Readonly<Record<BudgetScope, { readonly whose: string; readonly reason: string }>> = {
  attempt: { whose: "one attempt of a run", reason: "A review takes tens." },
  run: { whose: "a run, over all its attempts", reason: "A second attempt follows only a lost machine." },
  repository_day: { whose: "a repository, in a day (UTC)", reason: "Labels cost nothing, and many can be set." },
  installation_day: { whose: "a GitHub account, in a day (UTC)", reason: "The most that one tenant can spend." },
};

/** `budgets` */
export const BudgetSettings = z.strictObject({
  attempt: budgetOf("attempt").prefault({}),
  run: budgetOf("run").prefault({}),
  repository_day: budgetOf("repository_day").prefault({}),
  installation_day: budgetOf("installation_day").prefault({}),
});
export type BudgetSettings = z.infer<typeof BudgetSettings>;

export function budgetsOf(settings: BudgetSettings): Budgets {
  return {
    attempt: limitsOf(settings.attempt),
    run: limitsOf(settings.run),
    repository_day: limitsOf(settings.repository_day),
    installation_day: limitsOf(settings.installation_day),
  };
}

/** Reports a price table that says not when it was copied, and a day without a table. */
export function checkPrices(
  settings: z.infer<typeof PriceSettings>,
  environmentOf: (key: string) => string,
  report: (key: string, message: string) => void,
): void {
  const hasRows = Object.keys(settings.table).length > 0;
  const named = (key: string): string => `${key} (${environmentOf(key)})`;
  if (hasRows && settings.as_of === null) {
    report("model.prices.table", `prices need the day they were copied on: set ${named("model.prices.as_of")}`);
  }
  if (!hasRows && settings.as_of !== null) {
    report("model.prices.as_of", `a day counts only beside prices: set ${named("model.prices.table")}, or remove it`);
  }
}

/** The table in its order, but with the row for all others last, where it hides none. */
export function pricesOf(settings: z.infer<typeof PriceSettings>): Prices {
  const rows = Object.entries(settings.table).map(([model, { input, cached_input: cachedInput, output }]) => {
    return { model, price: { input, cachedInput: cachedInput ?? input, output } };
  });
  const isRest = ({ model }: { model: string }): boolean => model === "*";
  return { asOf: settings.as_of, rows: [...rows.filter((row) => !isRest(row)), ...rows.filter(isRest)] };
}

function limitsOf(settings: BudgetSettings[BudgetScope]): AmountLimits {
  const limit = (value: number | typeof UNLIMITED): number | null => (value === UNLIMITED ? null : value);
  const usd = limit(settings.usd);
  return {
    requests: limit(settings.requests),
    inputTokens: limit(settings.input_tokens),
    outputTokens: limit(settings.output_tokens),
    microUsd: usd === null ? null : Math.round(usd * MICRO),
  };
}

function budgetOf(scope: BudgetScope) {
  const { whose, reason } = scopes[scope];
  const own = defaults[scope];
  const prefix = `MAYFLY_BUDGET_${scope.toUpperCase()}`;
  return z.strictObject({
    requests: setting(
      { environment: `${prefix}_REQUESTS`, description: `Model calls of ${whose}, or \`${UNLIMITED}\`. ${reason}` },
      countLimit(own.requests),
    ),
    input_tokens: setting(
      {
        environment: `${prefix}_INPUT_TOKENS`,
        description: `Tokens that models read for ${whose}, or \`${UNLIMITED}\`.`,
      },
      countLimit(own.input_tokens),
    ),
    output_tokens: setting(
      {
        environment: `${prefix}_OUTPUT_TOKENS`,
        description: `Tokens that models write for ${whose}, or \`${UNLIMITED}\`.`,
      },
      countLimit(own.output_tokens),
    ),
    usd: setting(
      {
        environment: `${prefix}_USD`,
        description: `US dollars that models may cost for ${whose}, by \`model.prices\`, or \`${UNLIMITED}\`.`,
      },
      limitOf(z.number().min(0).max(USD_MAX), `must be US dollars from 0 to ${USD_MAX}, or ${UNLIMITED}`).default(
        own.usd,
      ),
    ),
  });
}

function countLimit(byDefault: number | typeof UNLIMITED) {
  const rule = `must be a whole number from 0 to ${COUNT_MAX}, or ${UNLIMITED}`;
  return limitOf(z.int().min(0).max(COUNT_MAX), rule).default(byDefault);
}

/** One message for every way to miss it. */
function limitOf(amount: z.ZodNumber, rule: string) {
  return z.union([amount, z.literal(UNLIMITED)], rule);
}
