import { isRunId, type RerunAllEvent, type Store, type Trigger } from "@mayfly/core";
import type { GitHubApp } from "../github/app.ts";

/** What is to be run again, and what is not and why. */
export interface Reruns {
  readonly reruns: readonly (Trigger & { kind: "rerun" })[];
  readonly passedOver: readonly { readonly state: "ignored"; readonly reason: string }[];
}

/** GitHub's page. A commit with more tasks than that is told of: each has a button of its own. */
const CHECKS_MAX = 100;
/** A suite's time may be behind its last check's by so much; a run takes longer, but for one that is refused. */
const BEHIND_MS = 10_000;

/**
 * The checks of ours that are the newest of their name on a commit, as if the button beside each had been pressed. One that
 * is not completed is at work on that commit anyhow; one that was completed after the press is an answer to it already.
 *
 * @throws AppError GITHUB_UNAVAILABLE, GITHUB_REFUSED, STORE_UNAVAILABLE.
 */
export async function listReruns(deps: { app: GitHubApp; store: Store }, event: RerunAllEvent): Promise<Reruns> {
  const { installation, repository, sender, suite } = event;
  const { id: appId, slug: appSlug } = await deps.app.identity();
  const { data } = await deps.app.withClient("checks", { installation, repository }, (client) =>
    client.request("GET /repos/{owner}/{repo}/commits/{ref}/check-runs", {
      owner: repository.owner,
      repo: repository.name,
      ref: suite.head,
      app_id: appId,
      filter: "latest",
      per_page: CHECKS_MAX,
    }),
  );
  const reruns: (Trigger & { kind: "rerun" })[] = [];
  const passedOver: string[] = [];
  for (const { id, external_id: run, status, completed_at: end } of data.check_runs) {
    const former = run !== null && isRunId(run) ? await deps.store.loadRun(run) : null;
    if (former === null) {
      passedOver.push(`the run of check run ${Number(id)} is not known here`);
    } else if (status !== "completed") {
      passedOver.push(`run ${former.value.id} goes on`);
    } else if (end !== null && Date.parse(end) > suite.updatedAt + BEHIND_MS) {
      passedOver.push(`run ${former.value.id} has answered it since`);
    } else {
      const check = { id: Number(id), appSlug, externalId: former.value.id };
      reruns.push({
        kind: "rerun",
        of: former.value.id,
        event: { kind: "rerun", installation, repository, sender, check },
      });
    }
  }
  if (data.total_count > data.check_runs.length) {
    passedOver.push(`${data.total_count - data.check_runs.length} more checks were left: press Re-run beside them`);
  }
  return { reruns, passedOver: passedOver.map((reason) => ({ state: "ignored", reason })) };
}
