import { amountsOf, type ModelUsage, nothingSpent, type Price } from "@mayfly/core";
import type { Logger } from "pino";
import type { ModelSpend, Reservation } from "../store/model-spend.ts";

/** What a call was charged before it was made. */
export interface Charge {
  /**
   * Corrects it once; later ones do nothing. By the model's own count; or `request`: it counts, and nothing was computed;
   * or `all`: what it took is unknown, so the whole reservation stays. Never throws: uncorrected it stays charged.
   */
  settle(took: ModelUsage | "request" | "all"): Promise<void>;
}

export function createCharge(deps: {
  reservation: Reservation;
  price: Price;
  spend: Pick<ModelSpend, "settle">;
  log: Logger;
}): Charge {
  const { reservation, price, spend, log } = deps;
  let isSettled = false;

  function amounts(took: ModelUsage | "request" | "all") {
    switch (took) {
      case "all":
        return reservation.amounts;
      case "request":
        return { ...nothingSpent, requests: 1 };
      default:
        return amountsOf(took, price);
    }
  }

  return {
    async settle(took) {
      if (!isSettled) {
        isSettled = true;
        await spend.settle(reservation, amounts(took)).catch((err: unknown) => {
          log.warn(
            { run: reservation.attempt.run, err },
            "a model call could not be settled and stays charged in full",
          );
        });
      }
    },
  };
}
