import {
  type Actor,
  type PatchAsker,
  type EndedRun,
  patchMessage,
  type PullRequestNow,
  type PullRequestOrigin,
  refuseApply,
  type RunId,
} from "@mayfly/core";
import { type GitHubApp, type GitHubClient, statusOf } from "../github/app.ts";
import { placeOf, readRole } from "../github/pull-requests.ts";
import type { GatherFacts } from "../runs/facts.ts";
import { makeCommit, whereOf } from "./make-commit.ts";
import { readFiles } from "./patch.ts";

/** What became of a patch. */
type Applied =
  | { readonly kind: "applied"; readonly commit: string }
  | { readonly kind: "refused"; readonly why: string };

/** Everything is asked anew: the person's role, the head, the files. Throws what GitHubApp throws. Idempotent. */
export async function applyPatch(
  { app, facts }: { readonly app: GitHubApp; readonly facts: GatherFacts },
  run: EndedRun,
  origin: PullRequestOrigin,
  by: PatchAsker,
): Promise<Applied> {
  const { actor } = by;
  const place = placeOf(origin);
  const { now, applied } = await app.withClient("read", place, async (client) => {
    const pull = await lookAt(client, origin, actor);
    return { now: pull, applied: await isApplied(client, origin, run.id, pull.head) };
  });
  const why = refuseApply(origin, actor, applied ? { ...now, head: origin.head } : now, { isDraft: false });
  if (why !== null) {
    return { kind: "refused", why };
  }
  if (applied) {
    return { kind: "applied", commit: now.head };
  }
  const files = await readFiles({ app, facts }, run, origin);
  if (files === null) {
    return { kind: "refused", why: "there is no patch of this run any more: run the task again" };
  }
  const moved = await app.withClient("patch", place, async (client) => {
    const { commit } = await makeCommit(client, origin, files, patchMessage(run.id, origin, by));
    return moveBranch(client, origin, now.headRef, commit);
  });
  if (moved.kind === "applied") {
    return moved;
  }
  // Somebody else may have pressed the button at the same time.
  return app.withClient("read", place, async (client) => {
    const { head } = await lookAt(client, origin, actor);
    return (await isApplied(client, origin, run.id, head)) ? { kind: "applied", commit: head } : moved;
  });
}

export async function lookAt(client: GitHubClient, origin: PullRequestOrigin, actor: Actor): Promise<PullRequestNow> {
  const { data } = await client.request("GET /repos/{owner}/{repo}/pulls/{pull_number}", {
    ...whereOf(origin),
    pull_number: origin.number,
  });
  return {
    open: data.state === "open",
    head: data.head.sha,
    // GitHub's description has it always there; it is null once the repository is gone.
    headRepositoryId: (data.head.repo as { id: number } | null)?.id ?? null,
    headRef: data.head.ref,
    defaultBranch: data.base.repo.default_branch,
    role: await readRole(client, placeOf(origin), actor.login),
  };
}

/** Whether the head is this run's commit on the approved one already. */
export async function isApplied(
  client: GitHubClient,
  origin: PullRequestOrigin,
  run: RunId,
  head: string,
): Promise<boolean> {
  if (head === origin.head) {
    return false;
  }
  const { data } = await client.request("GET /repos/{owner}/{repo}/git/commits/{commit_sha}", {
    ...whereOf(origin),
    commit_sha: head,
  });
  const isNext = data.parents.length === 1 && data.parents[0]?.sha === origin.head;
  return isNext && data.message.split("\n").includes(`Run: ${run}`);
}

/** The one visible act: the branch goes from the approved commit to ours, or stays where it is. */
async function moveBranch(
  client: GitHubClient,
  origin: PullRequestOrigin,
  branch: string,
  commit: string,
): Promise<Applied> {
  try {
    await client.request("PATCH /repos/{owner}/{repo}/git/refs/{ref}", {
      ...whereOf(origin),
      ref: `heads/${branch}`,
      sha: commit,
      force: false,
    });
    return { kind: "applied", commit };
  } catch (error) {
    if (statusOf(error) !== 422) {
      throw error;
    }
    return { kind: "refused", why: "GitHub did not move the branch: it was pushed to meanwhile, or it is protected" };
  }
}
