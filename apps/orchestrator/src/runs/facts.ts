import type { MachineFacts, ResultStore, Run, RunFacts, Store } from "@mayfly/core";

/** Gathers what a run's record does not carry itself: what its last attempt returned, and what its machines were. */
export type GatherFacts = (run: Run) => Promise<RunFacts>;

export function createGatherFacts(deps: { store: Store; results: ResultStore }): GatherFacts {
  const { store, results } = deps;

  async function machineFacts(id: MachineFacts["machine"]): Promise<MachineFacts[]> {
    const found = await store.loadMachine(id);
    if (found === null) {
      return [];
    }
    const { provider, acceleration, image } = found.value;
    return [{ machine: id, provider, acceleration, image }];
  }

  return async (run) => {
    const digest = "resultDigest" in run ? run.resultDigest : null;
    const frame = digest === null ? null : await results.getResult(run.id, run.epoch);
    const machines = await Promise.all(run.gone.map(({ machine }) => machineFacts(machine)));
    return { result: frame?.kind === "result" ? frame.result : null, machines: machines.flat() };
  };
}
