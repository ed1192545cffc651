import {
  type Budgets,
  type MachineFacts,
  pricedAsOf,
  type Prices,
  refusalsOf,
  remaining,
  type ResultStore,
  type Run,
  type RunFacts,
  type SpendFacts,
  type Store,
} from "@mayfly/core";
import { type ModelSpend, spendPlaceOf } from "../store/model-spend.ts";

/** Gathers what a run's record does not carry itself: what its last attempt returned, what it spent, what its machines were. */
export type GatherFacts = (run: Run) => Promise<RunFacts>;

export function createGatherFacts(deps: {
  store: Store;
  results: ResultStore;
  spend: ModelSpend;
  budgets: Budgets;
  prices: Prices;
}): GatherFacts {
  const { store, results, spend, budgets, prices } = deps;

  async function machineFacts(id: MachineFacts["machine"]): Promise<MachineFacts[]> {
    const found = await store.loadMachine(id);
    if (found === null) {
      return [];
    }
    const { provider, acceleration, image } = found.value;
    return [{ machine: id, provider, acceleration, image }];
  }

  async function spendFacts({ id, epoch, request }: Run): Promise<SpendFacts | null> {
    if (epoch === 0) {
      return null;
    }
    const place = spendPlaceOf(request);
    const { attempt, run, repositoryDay, installationDay, refusals } = await spend.read(id, epoch, place);
    const days = {
      repository_day: remaining(repositoryDay, budgets.repository_day),
      installation_day: remaining(installationDay, budgets.installation_day),
    };
    return {
      spent: run,
      left: {
        attempt: remaining(attempt, budgets.attempt),
        run: remaining(run, budgets.run),
        ...(place.repository === null ? {} : days),
      },
      pricedAsOf: pricedAsOf(request.task.model, prices),
      refusals: refusalsOf(refusals),
    };
  }

  return async (run) => {
    const digest = "resultDigest" in run ? run.resultDigest : null;
    const frame = digest === null ? null : await results.getResult(run.id, run.epoch);
    const machines = await Promise.all(run.gone.map(({ machine }) => machineFacts(machine)));
    const result = frame?.kind === "result" ? frame.result : null;
    return { result, machines: machines.flat(), spend: await spendFacts(run) };
  };
}
