import {
  type AmountKind,
  amountKinds,
  type AmountLimits,
  type Amounts,
  type BudgetScope,
  budgetScopes,
} from "../budget.ts";
import { modelRefusals } from "../model-request/refusal.ts";
import { count } from "./text.ts";

/** What a run's model calls took, as the broker metered them: nothing here is the machine's own word. */
export interface SpendFacts {
  /** Of the run, over all its attempts. Calls that never came back count with the most they may have taken. */
  readonly spent: Amounts;
  /** Of each budget that the run is charged to: of its last attempt, of itself, and of the day on which it was looked up. */
  readonly left: Readonly<Partial<Record<BudgetScope, AmountLimits>>>;
  /** The day of the operator's price for the model, `YYYY-MM-DD`; null if there is none and a dear one is assumed. */
  readonly pricedAsOf: string | null;
  readonly refusals: readonly SpendRefusals[];
}

/** Model calls of the run that the broker refused, of one code. */
export interface SpendRefusals {
  readonly code: string;
  readonly count: number;
  /** What the code means; empty if it is not in the table. */
  readonly words: string;
}

/** Codes shown; the receipt has all. */
const REFUSALS_SHOWN = 12;
const CENT = 10_000;

/** Why calls are refused whatever they ask. */
const otherRefusals: Readonly<Record<string, string>> = {
  BUDGET_SPENT: "a budget for model calls is spent",
  CREDENTIAL_REFUSED: "the operator has no credential that the model's issuer grants",
  MODEL_PAUSED: "the model had asked to wait",
};

const scopeNames: Readonly<Record<BudgetScope, string>> = {
  attempt: "the attempt's budget",
  run: "the run's budget",
  repository_day: "the repository's budget of the day",
  installation_day: "the account's budget of the day",
};

/** The refusals of a run, the most frequent first, with what their codes mean. */
export function refusalsOf(counts: Readonly<Record<string, number>>): SpendRefusals[] {
  const words: Readonly<Record<string, string>> = { ...otherRefusals, ...modelRefusals };
  return Object.entries(counts)
    .map(([code, times]) => ({ code, count: times, words: (Object.hasOwn(words, code) ? words[code] : null) ?? "" }))
    .sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1));
}

/**
 * The spending of a run in lines of plain text: what was taken and what is left of the run's budget, then the refused
 * calls, if any. The same input gives the same lines.
 *
 * @param mark What is put around a code; Markdown wants a code span.
 */
export function renderSpend(spend: SpendFacts, mark: (code: string) => string = (code) => code): string[] {
  return [
    `Model: ${spentText(spend)}${leftText(spend.left.run)}`,
    ...budgetScopes.flatMap((scope) => spentBudget(scope, spend.left[scope])),
    ...refusalLine(spend.refusals, mark),
  ];
}

/** `$0.19`: cents, rounded up, so that nothing that was paid reads as nothing. */
export function renderUsd(microUsd: number): string {
  return dollars(Math.ceil(Math.max(0, microUsd) / CENT));
}

function spentText({ spent, pricedAsOf }: SpendFacts): string {
  const money = renderUsd(spent.microUsd);
  const cost = pricedAsOf === null ? `${money} at an assumed high price (none is set for this model)` : money;
  const { requests, inputTokens, outputTokens } = spent;
  return [
    shown("requests", requests),
    shown("inputTokens", inputTokens),
    shown("outputTokens", outputTokens),
    cost,
  ].join(", ");
}

function leftText(left: AmountLimits | undefined): string {
  const parts = amountKinds.flatMap((kind) => {
    const amount = left?.[kind] ?? null;
    return amount === null ? [] : [shown(kind, amount)];
  });
  return parts.length === 0 ? "" : `; left of the run's budget: ${parts.join(", ")}`;
}

function spentBudget(scope: BudgetScope, left: AmountLimits | undefined): string[] {
  const kinds = amountKinds.filter((kind) => left?.[kind] === 0);
  return kinds.length === 0 ? [] : [`Spent: ${scopeNames[scope]} (${kinds.map((kind) => kindNames[kind]).join(", ")})`];
}

const kindNames: Readonly<Record<AmountKind, string>> = {
  requests: "calls",
  inputTokens: "tokens in",
  outputTokens: "tokens out",
  microUsd: "money",
};

/** An amount of which something is left is rounded down: it cannot all be had. */
function shown(kind: AmountKind, amount: number): string {
  const whole = Math.max(0, amount);
  if (kind === "microUsd") {
    return dollars(Math.floor(whole / CENT));
  }
  return `${count(whole)} ${kind === "requests" && whole === 1 ? "call" : kindNames[kind]}`;
}

function dollars(cents: number): string {
  return `$${count(Math.floor(cents / 100))}.${String(cents % 100).padStart(2, "0")}`;
}

function refusalLine(refusals: readonly SpendRefusals[], mark: (code: string) => string): string[] {
  if (refusals.length === 0) {
    return [];
  }
  const parts = refusals.slice(0, REFUSALS_SHOWN).map((one) => {
    return `${count(one.count)} × ${mark(one.code)}${one.words === "" ? "" : ` (${one.words})`}`;
  });
  const rest = refusals.length - parts.length;
  return [`Refused model calls: ${[...parts, ...(rest === 0 ? [] : [`${count(rest)} more codes`])].join("; ")}`];
}
