/** What goes wrong with a call that is good in itself. */
import { Ec2Refusal } from "./refusal.ts";
import type { World } from "./world.ts";

export type Fault =
  /** Refused without effect. The status is 400 unless said. */
  | { readonly kind: "refuse"; readonly code: string; readonly message?: string; readonly status?: number }
  /** The line breaks before the call has an effect. */
  | { readonly kind: "lose-call" }
  /** It has its effect, and the line breaks before the answer. */
  | { readonly kind: "lose-reply" }
  /** It is carried out twice; the second answer is given. */
  | { readonly kind: "twice" };

const passing = [
  { code: "InternalError", message: "An internal error has occurred", status: 500 },
  { code: "Unavailable", message: "The service is unavailable. Please try again shortly.", status: 503 },
  { code: "RequestLimitExceeded", message: "Request limit exceeded.", status: 503 },
];

/** A fault by chance, or null. */
export function drawFault({ chaos, luck }: World): Fault | null {
  if (luck.happens(chaos.errors)) {
    const drawn = passing[luck.below(passing.length)];
    return drawn === undefined ? null : { kind: "refuse", ...drawn };
  }
  if (luck.happens(chaos.lostCalls)) {
    return { kind: "lose-call" };
  }
  if (luck.happens(chaos.lostReplies)) {
    return { kind: "lose-reply" };
  }
  return luck.happens(chaos.duplicates) ? { kind: "twice" } : null;
}

/**
 * Carries out the call with the fault: its answer, or null where the caller is to get none. Throws an Ec2Refusal; that
 * of a call whose reply is lost is lost with it.
 */
export function carryOut(fault: Fault | null, perform: () => object): object | null {
  switch (fault?.kind) {
    case "refuse":
      throw new Ec2Refusal(fault.code, fault.message ?? fault.code, fault.status);
    case "lose-call":
      return null;
    case "lose-reply":
      loseRefusal(perform);
      return null;
    case "twice":
      perform();
      return perform();
    default:
      return perform();
  }
}

function loseRefusal(perform: () => object): void {
  try {
    perform();
  } catch (error) {
    if (!(error instanceof Ec2Refusal)) {
      throw error;
    }
  }
}
