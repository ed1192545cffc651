import type { PullRequestOrigin, Run } from "@mayfly/core";
import { type GitHubClient, MAKE_ONCE, statusOf } from "../github/app.ts";
import type { StickyStore } from "../store/stickies.ts";

/** A task's comment on a pull request: one, however many runs. */
export function stickyName({ repository, number, label }: PullRequestOrigin): string {
  return `${repository.id}:${number}:${label}`;
}

/** Pages of comments looked through for one of ours whose id was not kept: a crash falls in between rarely. */
const PAGES_MAX = 10;
const PAGE = 100;

/**
 * The one sticky comment of a task on a pull request says this now. Found by its stored id; by the run's marker if a
 * crash fell between making and storing; made anew if a person deleted it. Idempotent.
 */
export async function ensureComment(options: {
  client: GitHubClient;
  stickies: StickyStore;
  appId: number;
  run: Run;
  origin: PullRequestOrigin;
  body: string;
}): Promise<{ id: number; url: string }> {
  const { client, stickies, origin, body } = options;
  const where = { owner: origin.repository.owner, repo: origin.repository.name };
  const name = stickyName(origin);
  const known = (await stickies.get(name)) ?? (await findByMarker(options));
  const edited = known === null ? null : await edit(client, { ...where, comment_id: known, body });
  if (edited !== null) {
    await stickies.set(name, edited.id);
    return edited;
  }
  const { data } = await client.request("POST /repos/{owner}/{repo}/issues/{issue_number}/comments", {
    ...where,
    issue_number: origin.number,
    body,
    request: MAKE_ONCE,
  });
  await stickies.set(name, Number(data.id));
  return { id: Number(data.id), url: data.html_url };
}

async function edit(
  client: GitHubClient,
  comment: { owner: string; repo: string; comment_id: number; body: string },
): Promise<{ id: number; url: string } | null> {
  try {
    const { data } = await client.request("PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}", comment);
    return { id: Number(data.id), url: data.html_url };
  } catch (error) {
    if (statusOf(error) === 404) {
      return null;
    }
    throw error;
  }
}

async function findByMarker(options: {
  client: GitHubClient;
  appId: number;
  run: Run;
  origin: PullRequestOrigin;
}): Promise<number | null> {
  const { client, appId, run, origin } = options;
  const marker = `<!-- mayfly:run=${run.id} -->`;
  for (let page = 1; page <= PAGES_MAX; page++) {
    const { data } = await client.request("GET /repos/{owner}/{repo}/issues/{issue_number}/comments", {
      owner: origin.repository.owner,
      repo: origin.repository.name,
      issue_number: origin.number,
      since: new Date(run.createdAt - CLOCKS_DIFFER_MS).toISOString(),
      per_page: PAGE,
      page,
    });
    const mine = data.find((comment) => {
      // Anybody may write our marker; only the App itself writes as the App.
      return comment.performed_via_github_app?.id === appId && comment.body?.startsWith(marker) === true;
    });
    if (mine !== undefined) {
      return Number(mine.id);
    }
    if (data.length < PAGE) {
      return null;
    }
  }
  return null;
}

/** GitHub's clock and ours. */
const CLOCKS_DIFFER_MS = 10 * 60 * 1000;
