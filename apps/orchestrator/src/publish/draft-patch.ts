import {
  type Actor,
  draftBranch,
  type EndedRun,
  patchMessage,
  type PatchFile,
  type PullRequestNow,
  type PullRequestOrigin,
  refuseApply,
  renderDraft,
} from "@mayfly/core";
import { type GitHubApp, type GitHubClient, MAKE_ONCE, statusOf } from "../github/app.ts";
import { placeOf } from "../github/pull-requests.ts";
import type { GatherFacts } from "../runs/facts.ts";
import { lookAt } from "./apply-patch.ts";
import { makeCommit, whereOf } from "./make-commit.ts";
import { readFiles } from "./patch.ts";

/** A draft pull request of ours, whatever has become of it since. */
interface Draft {
  readonly number: number;
  readonly url: string;
}

/** What became of a patch that was to be a draft pull request. */
type Drafted = ({ readonly kind: "drafted" } & Draft) | { readonly kind: "refused"; readonly why: string };

/**
 * Opens a draft pull request with a run's patch, against the branch of the run's own, under every rule of a commit on that
 * branch. One a run, found by its branch: it is made once however often this is called, and not again once somebody has
 * closed it. Leaves no branch behind where GitHub takes the branch and not the pull request. Throws what GitHubApp throws.
 */
export async function draftPatch(
  { app, facts }: { readonly app: GitHubApp; readonly facts: GatherFacts },
  run: EndedRun,
  origin: PullRequestOrigin,
  actor: Actor,
): Promise<Drafted> {
  const place = placeOf(origin);
  const { slug } = await app.identity();
  const { now, draft } = await app.withClient("read", place, async (client) => ({
    now: await lookAt(client, origin, actor),
    draft: await findDraft(client, { run, origin, slug }),
  }));
  if (draft !== null) {
    return { kind: "drafted", ...draft };
  }
  const why = refuseApply(origin, actor, now, { isDraft: true });
  if (why !== null) {
    return { kind: "refused", why };
  }
  const files = await readFiles({ app, facts }, run, origin);
  if (files === null) {
    return { kind: "refused", why: "there is no patch of this run any more: run the task again" };
  }
  const proposal = { run, origin, actor, now, slug };
  return app.withClient("draft", place, async (client) =>
    (await ensureBranch(client, proposal, files))
      ? openDraft(client, proposal)
      : { kind: "refused", why: `the branch ${draftBranch(run.id, origin)} could not be made: GitHub did not take it` },
  );
}

/** The App's pull request for a run, open or closed; null if there is none. Anybody may open one from that branch. */
export async function findDraft(
  client: GitHubClient,
  { run, origin, slug }: Pick<Proposal, "run" | "origin" | "slug">,
): Promise<Draft | null> {
  const branch = draftBranch(run.id, origin);
  const { data } = await client.request("GET /repos/{owner}/{repo}/pulls", {
    ...whereOf(origin),
    head: `${origin.repository.owner}:${branch}`,
    state: "all",
    per_page: PAGE,
  });
  const found = data.find(({ head, user }) => head.ref === branch && user?.login === `${slug}[bot]`);
  return found === undefined ? null : { number: found.number, url: found.html_url };
}

/** What GitHub says where a repository's plan has none: "Draft pull requests are not supported in this repository." */
const NO_DRAFTS = /draft pull requests are not supported/i;

/** GitHub lists no more at once. So many from one branch of a run's name there are only if somebody wants that. */
const PAGE = 100;

interface Proposal {
  /** The App's, by which its own pull requests are known. */
  readonly slug: string;
  readonly run: EndedRun;
  readonly origin: PullRequestOrigin;
  readonly actor: Actor;
  readonly now: PullRequestNow;
}

/** The patch as one commit on the approved one, under the run's own name. False where GitHub does not take the branch. */
async function ensureBranch(
  client: GitHubClient,
  { run, origin, actor }: Proposal,
  files: readonly PatchFile[],
): Promise<boolean> {
  const branch = draftBranch(run.id, origin);
  const message = patchMessage(run.id, origin, { actor, by: "draft-pull-request" });
  const made = await makeCommit(client, origin, files, message);
  try {
    await client.request("POST /repos/{owner}/{repo}/git/refs", {
      ...whereOf(origin),
      ref: `refs/heads/${branch}`,
      sha: made.commit,
      request: MAKE_ONCE,
    });
    return true;
  } catch (error) {
    if (statusOf(error) !== 422) {
      throw error;
    }
    return isAt(client, origin, branch, made.tree);
  }
}

/**
 * Whether the branch is there with exactly these files on the approved commit: an earlier try of ours made it. A person may
 * have taken the name meanwhile, and theirs is not opened under the App's name.
 */
async function isAt(client: GitHubClient, origin: PullRequestOrigin, branch: string, tree: string): Promise<boolean> {
  try {
    const { data } = await client.request("GET /repos/{owner}/{repo}/git/ref/{ref}", {
      ...whereOf(origin),
      ref: `heads/${branch}`,
    });
    const { data: commit } = await client.request("GET /repos/{owner}/{repo}/git/commits/{commit_sha}", {
      ...whereOf(origin),
      commit_sha: data.object.sha,
    });
    return commit.tree.sha === tree && commit.parents.length === 1 && commit.parents[0]?.sha === origin.head;
  } catch (error) {
    if (statusOf(error) === 404) {
      return false;
    }
    throw error;
  }
}

async function openDraft(client: GitHubClient, proposal: Proposal): Promise<Drafted> {
  const { run, origin, now } = proposal;
  const branch = draftBranch(run.id, origin);
  try {
    const { data } = await client.request("POST /repos/{owner}/{repo}/pulls", {
      ...whereOf(origin),
      ...renderDraft(run.id, origin, { into: now.headRef, answer: run.phase === "done" ? run.publication.url : null }),
      head: branch,
      base: now.headRef,
      draft: true,
      request: MAKE_ONCE,
    });
    return { kind: "drafted", number: data.number, url: data.html_url };
  } catch (error) {
    if (statusOf(error) !== 422) {
      throw error;
    }
    const other = await findDraft(client, proposal);
    if (other !== null) {
      return { kind: "drafted", ...other };
    }
    // A pull request that GitHub does not list yet ends with its branch: the branch goes only where there can be none.
    if (!NO_DRAFTS.test(String(error))) {
      return {
        kind: "refused",
        why: `GitHub opened none from the branch ${branch}, which stays: look whether one is there already`,
      };
    }
    await client.request("DELETE /repos/{owner}/{repo}/git/refs/{ref}", { ...whereOf(origin), ref: `heads/${branch}` });
    return { kind: "refused", why: "GitHub opened no draft pull request: not every repository may have drafts" };
  }
}
