import { type Ending, type PullRequests, recheck, type Run } from "@mayfly/core";

/** Asks GitHub whether what was approved still holds. Null: the run may go on. Throws GITHUB_UNAVAILABLE. */
export type RecheckRun = (run: Run) => Promise<Ending | null>;

export function createRecheckRun(pullRequests: PullRequests): RecheckRun {
  return async (run) => {
    const { origin, task } = run.request;
    return origin.kind === "local" ? null : recheck(origin, task, await pullRequests.lookAt(origin));
  };
}
