import type { Authorise } from "./authorise.ts";
import type { ModelGateway } from "./model-gateway.ts";

/**
 * A call that was good when it began ends with its attempt's rights, also while the service is away (I4). Idempotent.
 * Throws the first fault once it has looked at every machine.
 */
export async function cutUnentitled(deps: {
  gateway: Pick<ModelGateway, "machines" | "cut">;
  authorise: Pick<Authorise, "isEntitled">;
}): Promise<void> {
  const looks = deps.gateway.machines().map(async (machine) => {
    if (!(await deps.authorise.isEntitled(machine))) {
      deps.gateway.cut(machine);
    }
  });
  const failed = (await Promise.allSettled(looks)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") {
    throw failed.reason;
  }
}
