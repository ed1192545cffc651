import {
  type Actor,
  type EndedRun,
  isAppError,
  type PatchFile,
  patchMessage,
  type PullRequestNow,
  type PullRequestOrigin,
  refuseApply,
  type RunId,
  type Store,
  type Trigger,
} from "@mayfly/core";
import type { Logger } from "pino";
import { type GitHubApp, type GitHubClient, isFinal, statusOf } from "../github/app.ts";
import { placeOf, readRole } from "../github/pull-requests.ts";
import type { GatherFacts } from "../runs/facts.ts";
import { readPatch } from "./patch.ts";

export interface PatchApplierDeps {
  readonly app: GitHubApp;
  readonly loadRun: Store["loadRun"];
  readonly facts: GatherFacts;
  readonly log: Logger;
}

/** What became of it. Both are said on the check. */
type Applied =
  | { readonly kind: "applied"; readonly commit: string }
  | { readonly kind: "refused"; readonly why: string };

/**
 * Puts the patch of an ended run on its pull request's branch as one commit, because a person asked for it, or says on the
 * check why not. Everything is asked anew: the person's role, the head, the files. Pressed twice it makes one commit, since
 * the branch moves only from the approved commit. Returns what became of it, for the record of the delivery.
 */
export function createPatchApplier(deps: PatchApplierDeps): (asked: Trigger & { kind: "apply" }) => Promise<string> {
  // A delivery that takes long is woken again meanwhile, every second: the second call waits for the first.
  const underWay = new Map<string, Promise<string>>();
  return (asked) => {
    const key = `${asked.externalId}/${asked.checkRunId}/${asked.actor.id}`;
    const applying = underWay.get(key) ?? applyOnce(deps, asked).finally(() => underWay.delete(key));
    underWay.set(key, applying);
    return applying;
  };
}

async function applyOnce(deps: PatchApplierDeps, asked: Trigger & { kind: "apply" }): Promise<string> {
  const run = (await deps.loadRun(asked.externalId as RunId))?.value;
  const origin = run?.request.origin;
  const isOurs =
    run?.phase === "done" &&
    origin?.kind === "pull_request" &&
    origin.installation === asked.installation &&
    origin.repository.id === asked.repositoryId &&
    run.publication.checkRunId === asked.checkRunId;
  if (!isOurs) {
    return "the check is of no run whose patch is kept";
  }
  const applied = await apply(deps, run, origin, asked.actor).catch(refusedByGitHub);
  await show(deps, asked.checkRunId, origin, asked.actor, applied);
  deps.log.info({ run: run.id, actor: asked.actor.login, ...applied }, "a patch was asked for");
  return applied.kind === "applied" ? `the patch is commit ${applied.commit}` : `not applied: ${applied.why}`;
}

/** GitHub's last word, such as a protected branch or a permission the App was not given; what may pass is thrown on. */
function refusedByGitHub(error: unknown): Applied {
  if (!isFinal(error)) {
    throw error;
  }
  return { kind: "refused", why: `${error.message}. ${error.fix}` };
}

async function apply(
  { app, facts }: PatchApplierDeps,
  run: EndedRun,
  origin: PullRequestOrigin,
  actor: Actor,
): Promise<Applied> {
  const place = placeOf(origin);
  const { now, applied } = await app.withClient("read", place, async (client) => {
    const pull = await lookAt(client, origin, actor);
    return { now: pull, applied: await isApplied(client, origin, run.id, pull.head) };
  });
  const why = refuseApply(origin, actor, applied ? { ...now, head: origin.head } : now);
  if (why !== null) {
    return { kind: "refused", why };
  }
  if (applied) {
    return { kind: "applied", commit: now.head };
  }
  const patch = await readPatch(app, run, origin, await facts(run));
  if (patch === null || !patch.ok || patch.files.length === 0) {
    return { kind: "refused", why: "there is no patch of this run any more: run the task again" };
  }
  const moved = await app.withClient("patch", place, async (client) => {
    const commit = await makeCommit(client, origin, patch.files, patchMessage(run.id, origin, actor));
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

async function lookAt(client: GitHubClient, origin: PullRequestOrigin, actor: Actor): Promise<PullRequestNow> {
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
async function isApplied(client: GitHubClient, origin: PullRequestOrigin, run: RunId, head: string): Promise<boolean> {
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

/** Blobs, a tree and a commit that nothing points to yet. Without author and committer GitHub signs it as the App. */
async function makeCommit(
  client: GitHubClient,
  origin: PullRequestOrigin,
  files: readonly PatchFile[],
  message: string,
): Promise<string> {
  const where = whereOf(origin);
  const { data: head } = await client.request("GET /repos/{owner}/{repo}/git/commits/{commit_sha}", {
    ...where,
    commit_sha: origin.head,
  });
  const tree: { path: string; mode: PatchFile["mode"]; type: "blob"; sha: string | null }[] = [];
  for (const { path, mode, bytes } of files) {
    const sha = bytes === null ? null : await makeBlob(client, origin, bytes);
    tree.push({ path, mode, type: "blob", sha });
  }
  const { data: made } = await client.request("POST /repos/{owner}/{repo}/git/trees", {
    ...where,
    base_tree: head.tree.sha,
    tree,
  });
  const parents = [origin.head];
  const { data: commit } = await client.request("POST /repos/{owner}/{repo}/git/commits", {
    ...where,
    message,
    tree: made.sha,
    parents,
  });
  return commit.sha;
}

async function makeBlob(client: GitHubClient, origin: PullRequestOrigin, bytes: Uint8Array): Promise<string> {
  const content = Buffer.from(bytes).toString("base64");
  const { data } = await client.request("POST /repos/{owner}/{repo}/git/blobs", {
    ...whereOf(origin),
    content,
    encoding: "base64",
  });
  return data.sha;
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

/** In our own words alone, so that a token for progress is enough. A refusal leaves the button where it is. */
async function show(
  { app, log }: PatchApplierDeps,
  checkRunId: number,
  origin: PullRequestOrigin,
  actor: Actor,
  applied: Applied,
): Promise<void> {
  const isApplied = applied.kind === "applied";
  const title = isApplied ? `Patch applied as ${applied.commit.slice(0, 7)}` : "The patch was not applied";
  const words = isApplied
    ? `**The patch is on the branch** as ${applied.commit}, applied by \`${actor.login}\`.`
    : `**The patch was not applied**, which \`${actor.login}\` asked for: ${applied.why}.`;
  try {
    await app.withClient("progress", placeOf(origin), (client) =>
      client.request("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}", {
        ...whereOf(origin),
        check_run_id: checkRunId,
        status: "completed",
        conclusion: isApplied ? "success" : "action_required",
        output: { title, summary: words },
        ...(isApplied ? { actions: [] } : {}),
      }),
    );
  } catch (error) {
    if (!isAppError(error) || error.retryable) {
      throw error;
    }
    log.warn({ err: error }, "what became of a patch could not be said on its check");
  }
}

function whereOf({ repository }: PullRequestOrigin): { owner: string; repo: string } {
  return { owner: repository.owner, repo: repository.name };
}
