import { Assignment } from "@mayfly/core";
import { z } from "zod";
import type { Reach } from "../host/socket-client.ts";
import { CLAIM_MS, type Dispatch } from "./dispatch.ts";

/** The dispatch gives up before; what is left is for a busy host. */
const ANSWER_MS = CLAIM_MS + 10_000;

const Answer = z.strictObject({ assignment: Assignment.nullable() });

/** The service's dispatch, asked from another process. A claim is not repeated: what is lost with its answer is lost. */
export function createDispatchClient(reach: Reach): Dispatch {
  const client = reach({ answerMs: ANSWER_MS, retryMs: 0, who: "the service" });
  return {
    async claim(machine) {
      return Answer.parse(await client.ask("POST", "/claim", { machine })).assignment;
    },
  };
}
