import { isRunId, readTaskCheckId, type RerunAllEvent, type Store, type Trigger } from "@mayfly/core";
import type { GitHubApp } from "../github/app.ts";

/** What a press of the button beside one check asks for. */
interface Rerun {
  readonly checkId: number;
  readonly trigger: Trigger & { kind: "rerun" | "recheck_tasks" };
}

/** What is to be run again, and what is not and why. */
export interface Reruns {
  readonly reruns: readonly Rerun[];
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
  const reruns: Rerun[] = [];
  const passedOver: string[] = [];
  for (const { id, external_id: externalId, status, completed_at: end } of data.check_runs) {
    const checkId = Number(id);
    const run = externalId !== null && isRunId(externalId) ? await deps.store.loadRun(externalId) : null;
    const number = readTaskCheckId(externalId ?? "");
    const what = run === null ? "the look at task files" : `run ${run.value.id}`;
    if (run === null && number === null) {
      passedOver.push(`the run of check run ${checkId} is not known here`);
    } else if (status !== "completed") {
      passedOver.push(`${what} goes on`);
    } else if (end !== null && Date.parse(end) > suite.updatedAt + BEHIND_MS) {
      passedOver.push(`${what} has answered it since`);
    } else if (run !== null) {
      const of = run.value.id;
      const check = { id: checkId, appSlug, externalId: of };
      const event = { kind: "rerun", installation, repository, sender, check } as const;
      reruns.push({ checkId, trigger: { kind: "rerun", of, event } });
    } else if (number !== null) {
      reruns.push({ checkId, trigger: { kind: "recheck_tasks", installation, repository, number } });
    }
  }
  if (data.total_count > data.check_runs.length) {
    passedOver.push(`${data.total_count - data.check_runs.length} more checks were left: press Re-run beside them`);
  }
  return { reruns, passedOver: passedOver.map((reason) => ({ state: "ignored", reason })) };
}
