import type { MachineId } from "@mayfly/core";
import type { Authorise } from "./authorise.ts";

/** What machines have under way through this broker. */
interface UnderWay {
  machines(): readonly MachineId[];
  cut(machine: MachineId): void | Promise<void>;
}

/**
 * A call that was good when it began ends with its attempt's rights, also while the service is away (I4). Idempotent.
 * Throws the first fault once it has looked at every machine.
 */
export async function cutUnentitled(deps: {
  calls: UnderWay;
  authorise: Pick<Authorise, "isEntitled">;
}): Promise<void> {
  const looks = deps.calls.machines().map(async (machine) => {
    if (!(await deps.authorise.isEntitled(machine))) {
      await deps.calls.cut(machine);
    }
  });
  const failed = (await Promise.allSettled(looks)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") {
    throw failed.reason;
  }
}
