import {
  type AmountKind,
  type BrokerRefusal,
  type BudgetScope,
  type EnrolmentRefusalCode,
  enrolmentRefusals,
  type ModelRefusalCode,
  modelRefusals,
} from "@mayfly/core";

/**
 * Why the broker says no. Stable: the agent and the tests branch on these. Codex shows the words of a 400 and stops at
 * once, repeats every other status but a 429 without Retry-After, and waits where Retry-After says so (CLI 0.169.0). So
 * what another try cannot cure is a 400.
 */
const refusals = {
  PROTOCOL_UNKNOWN: { status: 400, message: "this protocol version is not served" },
  BODY_INVALID: { status: 400, message: "the body is not what this call takes" },
  BODY_TOO_BIG: { status: 413, message: "the body is too big" },
  LENGTH_REQUIRED: { status: 411, message: "the body must come with its length" },
  NOT_JSON: { status: 415, message: "the body must be application/json" },
  CAPABILITY_INVALID: { status: 401, message: "this capability is not good on this channel" },
  KEY_INVALID: { status: 401, message: "this key is not good on this channel" },
  ENDED: { status: 410, message: "the attempt has ended; capability and key are dead" },
  CLAIMED_BEFORE: { status: 409, message: "this machine has had its attempt" },
  GATE_FAILED: { status: 409, message: "the start gate did not pass, so no key is lent" },
  SETUP_OPEN: { status: 503, message: "a connection of the set-up is still open, so the gate cannot pass yet" },
  RESULT_TAKEN: { status: 409, message: "a result of another epoch, or a second one, is not taken" },
  BUSY: { status: 429, message: "too many calls at once" },
  CALLS_CLOSED: { status: 400, message: "too many model calls of this machine were refused" },
  CREDENTIAL_REFUSED: { status: 400, message: "the operator has no credential that the model's issuer grants" },
  MODEL_PAUSED: { status: 429, message: "the model asked to wait" },
  MODEL_UNREACHABLE: { status: 502, message: "the model cannot be reached" },
  MODEL_ANSWER_INVALID: { status: 502, message: "the model answered with something other than a stream" },
  UNAVAILABLE: { status: 503, message: "try again" },
  NOT_SERVED: { status: 404, message: "there is nothing here" },
} as const satisfies Record<string, { status: number; message: string }>;

export type RefusalCode =
  | keyof typeof refusals
  | "BUDGET_SPENT"
  | "SETUP_REFUSED"
  | ModelRefusalCode
  | EnrolmentRefusalCode;

/** Thrown by routes, answered as `BrokerRefusal`. Carries nothing of ours that a machine should not know. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly status: number;
  /** When another try may be worth it; null where nothing is said. */
  readonly retryAfterSeconds: number | null;

  constructor(
    code: keyof typeof refusals | { code: RefusalCode; status: number; message: string },
    options: { retryAfterSeconds?: number } = {},
  ) {
    const said = typeof code === "string" ? { code, ...refusals[code] } : code;
    super(said.message);
    this.name = "Refusal";
    this.code = said.code;
    this.status = said.status;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }

  get body(): BrokerRefusal {
    return { error: { code: this.code, message: this.message } };
  }
}

/** A machine that does not get in. */
export function entryRefused(code: EnrolmentRefusalCode): Refusal {
  return new Refusal({ code, ...enrolmentRefusals[code] });
}

/** A model call that may not be made as it is. `at` is a path of our own field names. */
export function modelCallRefused(code: ModelRefusalCode, at: string): Refusal {
  return new Refusal({
    code,
    status: 400,
    message: at === "" ? modelRefusals[code] : `${modelRefusals[code]} (${at})`,
  });
}

const scopeWords: Record<BudgetScope, string> = {
  attempt: "this attempt",
  run: "this run",
  repository_day: "this repository's day",
  installation_day: "this installation's day",
};

const kindWords: Record<AmountKind, string> = {
  requests: "model calls",
  inputTokens: "input tokens",
  outputTokens: "output tokens",
  microUsd: "money",
};

/** A model call for which nothing is left. `limit`: as in the budgets, money in millionths of a US dollar. */
export function budgetSpent(spent: { scope: BudgetScope; kind: AmountKind; limit: number }): Refusal {
  const { scope, kind, limit } = spent;
  const most = kind === "microUsd" ? `${(limit / 1_000_000).toFixed(2)} US dollars` : String(limit);
  const message = `the budget of ${scopeWords[scope]} for ${kindWords[kind]} is spent (${most})`;
  return new Refusal({ code: "BUDGET_SPENT", status: 400, message });
}
