import { Assignment } from "@mayfly/core";
import { z } from "zod";
import { createSocketClient } from "../host/socket-client.ts";
import type { Dispatch } from "./dispatch.ts";

/** A claim looks at GitHub for each run that waits; the agent itself waits a little longer. */
const ANSWER_MS = 60_000;

const Answer = z.strictObject({ assignment: Assignment.nullable() });

/** The service's dispatch, asked from another process. A claim is not repeated: what is lost with its answer is lost. */
export function createDispatchClient(socket: string): Dispatch {
  const client = createSocketClient({ socket, answerMs: ANSWER_MS, retryMs: 0, who: "the service" });
  return {
    async claim(machine) {
      return Answer.parse(await client.ask("POST", "/claim", { machine })).assignment;
    },
  };
}
