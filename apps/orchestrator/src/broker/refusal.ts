import type { BrokerRefusal } from "@mayfly/core";

/** Why the broker says no. Stable: the agent and the tests branch on these. */
const refusals = {
  PROTOCOL_UNKNOWN: { status: 400, message: "this protocol version is not served" },
  BODY_INVALID: { status: 400, message: "the body is not what this call takes" },
  BODY_TOO_BIG: { status: 413, message: "the body is too big" },
  NOT_JSON: { status: 415, message: "the body must be application/json" },
  CAPABILITY_INVALID: { status: 401, message: "this capability is not good on this channel" },
  KEY_INVALID: { status: 401, message: "this key is not good on this channel" },
  ENDED: { status: 410, message: "the attempt has ended; capability and key are dead" },
  CLAIMED_BEFORE: { status: 409, message: "this machine has had its attempt" },
  GATE_FAILED: { status: 409, message: "the start gate did not pass, so no key is lent" },
  RESULT_TAKEN: { status: 409, message: "a result of another epoch, or a second one, is not taken" },
  BUDGET_SPENT: { status: 429, message: "the attempt's model calls are spent" },
  BUSY: { status: 429, message: "too many calls at once" },
  MODEL_UNREACHABLE: { status: 502, message: "the model cannot be reached" },
  UNAVAILABLE: { status: 503, message: "try again" },
  NOT_SERVED: { status: 404, message: "there is nothing here" },
} as const satisfies Record<string, { status: number; message: string }>;

export type RefusalCode = keyof typeof refusals;

/** Thrown by routes, answered as `BrokerRefusal`. Carries nothing of ours that a machine should not know. */
export class Refusal extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode) {
    super(refusals[code].message);
    this.name = "Refusal";
    this.code = code;
  }

  get status(): number {
    return refusals[this.code].status;
  }

  get body(): BrokerRefusal {
    return { error: { code: this.code, message: this.message } };
  }
}
