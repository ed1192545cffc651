import { type Amounts, type Budgets, type BudgetScope, budgetScopes, type Price, remaining } from "@mayfly/core";
import type { ModelSpend, SpendAttempt } from "../store/model-spend.ts";

/** The API takes no smaller `max_output_tokens`: it answers `integer_below_min_value`. */
export const OUTPUT_TOKENS_MIN = 16;

/** The narrowest budget for an answer. */
export interface OutputLeft {
  /** How many tokens of output it still allows: a whole number, 0 or more. */
  readonly tokens: number;
  readonly scope: BudgetScope;
  readonly kind: "outputTokens" | "microUsd";
  readonly limit: number;
}

/**
 * What the budgets leave for an answer, so that none is asked for that is longer than is left; null where nothing bounds
 * it. Money is counted as if all of it went into the answer: what the question costs is known only once it is answered, and
 * its most is several times what it takes. Calls at once may see the same; the reservation is what decides between them.
 * Throws STORE_UNAVAILABLE.
 */
export async function outputLeft(
  attempt: SpendAttempt,
  deps: { spend: Pick<ModelSpend, "read">; budgets: Budgets; price: Price },
): Promise<OutputLeft | null> {
  const { budgets, price } = deps;
  const scopes = budgetScopes.filter((scope) => {
    const { outputTokens, microUsd } = budgets[scope];
    return isOf(attempt, scope) && (outputTokens !== null || microUsd !== null);
  });
  if (scopes.length === 0) {
    return null;
  }
  const read = await deps.spend.read(attempt.run, attempt.epoch, attempt);
  const spent: Record<BudgetScope, Amounts> = {
    attempt: read.attempt,
    run: read.run,
    repository_day: read.repositoryDay,
    installation_day: read.installationDay,
  };
  const all = scopes.flatMap((scope): OutputLeft[] => {
    const { outputTokens, microUsd } = remaining(spent[scope], budgets[scope]);
    const paid = microUsd === null || price.output === 0 ? null : Math.floor(microUsd / price.output);
    return [
      ...leftOf({ scope, kind: "outputTokens", tokens: outputTokens, limit: budgets[scope].outputTokens }),
      ...leftOf({ scope, kind: "microUsd", tokens: paid, limit: budgets[scope].microUsd }),
    ];
  });
  return all.toSorted((one, other) => one.tokens - other.tokens)[0] ?? null;
}

function leftOf(left: {
  scope: BudgetScope;
  kind: OutputLeft["kind"];
  tokens: number | null;
  limit: number | null;
}): OutputLeft[] {
  const { tokens, limit } = left;
  return tokens === null || limit === null ? [] : [{ ...left, tokens, limit }];
}

/** Whether calls of this attempt are charged to it. */
function isOf({ repository, installation }: SpendAttempt, scope: BudgetScope): boolean {
  return (scope !== "repository_day" || repository !== null) && (scope !== "installation_day" || installation !== null);
}
