import type { Authorise } from "./authorise.ts";
import type { ModelGateway } from "./model-gateway.ts";

/** A call that was good when it began ends with its attempt's rights, also while the service is away (I4). Idempotent. */
export async function cutUnentitled(deps: {
  gateway: Pick<ModelGateway, "machines" | "cut">;
  authorise: Pick<Authorise, "isEntitled">;
}): Promise<void> {
  for (const machine of deps.gateway.machines()) {
    if (!(await deps.authorise.isEntitled(machine))) {
      deps.gateway.cut(machine);
    }
  }
}
