import { isMachineId } from "@mayfly/core";
import { z } from "zod";
import type { Reach } from "../../host/socket-client.ts";
import type { MachineAt } from "./guest-app.ts";

/** A listing that is about to begin, and the provider's slowest answer; the guest waits a little longer. */
const ANSWER_MS = 15_000;

const Answer = z.strictObject({ machine: z.string().refine(isMachineId).nullable() });

/** The service's look at its provider's listing, asked from the broker's process, which has no right on the provider. */
export function createMachineLookup(reach: Reach): MachineAt {
  const client = reach({ answerMs: ANSWER_MS, retryMs: 0, who: "the service" });
  return async (address) => Answer.parse(await client.ask("POST", "/machine-at", { address })).machine;
}
