/** Pull requests: opened, listed, and kept at the head of their branch. */
import { commitShape, fileShape } from "./commits.ts";
import { emitPull, pullSize, touch } from "./events.ts";
import { changesBetween, commitsBetween, countBetween, mergeBase } from "./git-history.ts";
import { copyRef, git, resolveCommit } from "./git-store.ts";
import { fieldIn, GitHubRefusal, invalid, notFound, page, stringIn } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import { fullPullShape, issueShape, pullShape } from "./pull-shapes.ts";
import type { Route } from "./router.ts";
import { appBot } from "./world.ts";
import type { Pull, Repository, User, World } from "./world.ts";

/** Limits of the lists. */
const COMMITS_MAX = 250;
const FILES_MAX = 3000;
const READ = ["pull_requests:read"];
const BASE = "/repos/{owner}/{repo}";
const ONE = `${BASE}/pulls/{pull_number}`;

export const pullRoutes: readonly Route[] = [
  { method: "GET", path: `${BASE}/pulls`, auth: "installation", needs: READ, handle: listPulls },
  { method: "POST", path: `${BASE}/pulls`, auth: "installation", needs: ["pull_requests:write"], handle: createPull },
  { method: "GET", path: ONE, auth: "installation", needs: READ, handle: showPull },
  { method: "GET", path: `${ONE}/commits`, auth: "installation", needs: READ, handle: listCommits },
  { method: "GET", path: `${ONE}/files`, auth: "installation", needs: READ, handle: listFiles },
  {
    method: "GET",
    path: `${BASE}/issues/{issue_number}`,
    auth: "installation",
    needs: ["issues:read", "pull_requests:read"],
    handle: showIssue,
  },
];

export interface NewPull {
  readonly repository: Repository;
  readonly headRepository: Repository;
  readonly headRef: string;
  readonly headSha: string;
  readonly baseRef: string;
  readonly baseSha: string;
  readonly title: string;
  readonly body: string | null;
  readonly author: User;
  readonly draft: boolean;
}

/** Opens a pull request: its head's objects become part of the base repository. Sends the event. */
export async function openPull(world: World, from: NewPull): Promise<Pull> {
  const { repository, headRepository, headRef } = from;
  const now = world.now();
  const pull: Pull = {
    id: world.nextId(),
    issueId: world.nextId(),
    number: repository.nextNumber,
    repository,
    headRepository,
    title: from.title,
    body: from.body,
    author: from.author,
    draft: from.draft,
    state: "open",
    createdAt: now,
    updatedAt: now,
    closedAt: null,
    base: { ref: from.baseRef, sha: from.baseSha },
    head: { ref: headRef, sha: from.headSha },
    labels: new Set(),
    reviews: [],
    unresolvable: new Set(),
  };
  repository.nextNumber += 1;
  await publishHead(pull);
  repository.pulls.set(pull.number, pull);
  await emitPull(world, pull, { action: "opened", sender: from.author });
  return pull;
}

/** After refs of a repository changed: moves the heads of its open pull requests and sends the events. */
export async function followBranches(world: World, changed: Repository, sender: User): Promise<void> {
  const pulls = [...world.repositories.values()].flatMap((repository) => [...repository.pulls.values()]);
  for (const pull of pulls) {
    if (pull.state !== "open" || pull.headRepository !== changed) {
      continue;
    }
    const sha = await resolveCommit(changed.directory, `refs/heads/${pull.head.ref}`);
    if (sha === pull.head.sha) {
      continue;
    }
    if (sha === undefined) {
      await setPullState(world, pull, { state: "closed", sender });
      continue;
    }
    const before = pull.head.sha;
    pull.head.sha = sha;
    await publishHead(pull);
    touch(world, pull);
    await emitPull(world, pull, { action: "synchronize", sender, more: { before, after: sha } });
  }
}

/** Closes or reopens a pull request and sends the event. */
export async function setPullState(
  world: World,
  pull: Pull,
  to: { state: Pull["state"]; sender: User },
): Promise<void> {
  if (pull.state === to.state) {
    return;
  }
  pull.state = to.state;
  touch(world, pull);
  pull.closedAt = to.state === "closed" ? pull.updatedAt : null;
  await emitPull(world, pull, { action: to.state === "closed" ? "closed" : "reopened", sender: to.sender });
}

/** Makes an open pull request a draft, as its page does; one that is a draft or closed stays as it is. */
export async function convertToDraft(world: World, pull: Pull, sender: User): Promise<void> {
  if (pull.draft || pull.state === "closed") {
    return;
  }
  pull.draft = true;
  touch(world, pull);
  await emitPull(world, pull, { action: "converted_to_draft", sender });
}

/** The pull request that the path names, as pull request or as issue. */
export function findPull({ repository, params }: Context): Pull {
  const pull = repository.pulls.get(Number(params.pull_number ?? params.issue_number));
  if (pull === undefined) {
    throw notFound();
  }
  return pull;
}

async function publishHead(pull: Pull): Promise<void> {
  const { repository, headRepository, head, number } = pull;
  const toRef = `refs/pull/${number}/head`;
  if (repository === headRepository) {
    await git(repository.directory, ["update-ref", toRef, head.sha]);
    return;
  }
  await copyRef({ from: headRepository.directory, fromRef: `refs/heads/${head.ref}`, to: repository.directory, toRef });
}

function listPulls(context: Context): Reply {
  const { world, repository, query } = context;
  const state = query.get("state") ?? "open";
  const head = query.get("head");
  const base = query.get("base");
  const ascending = query.get("direction") === "asc";
  const key = query.get("sort") === "updated" ? "updatedAt" : "createdAt";
  const found = [...repository.pulls.values()]
    .filter((pull) => state === "all" || pull.state === state)
    .filter((pull) => head === null || `${pull.headRepository.owner.login}:${pull.head.ref}` === head)
    .filter((pull) => base === null || pull.base.ref === base)
    .toSorted((one, other) => (one[key] - other[key] || one.number - other.number) * (ascending ? 1 : -1));
  const { items, headers } = page(context, found);
  return { status: 200, headers, body: items.map((pull) => pullShape(world, pull)) };
}

async function createPull({ world, repository, body }: Context): Promise<Reply> {
  const baseRef = stringIn(body, "base") ?? "";
  const [one = "", other] = (stringIn(body, "head") ?? "").split(":");
  const headRef = other ?? one;
  const owner = other === undefined ? repository.owner.login : one;
  const headRepository = [...world.repositories.values()].find(
    (candidate) =>
      candidate.owner.login.toLowerCase() === owner.toLowerCase() &&
      (candidate === repository || candidate.forkOf === repository),
  );
  if (headRepository === undefined) {
    throw invalid("PullRequest", "head", "head is invalid");
  }
  const headSha = await resolveCommit(headRepository.directory, `refs/heads/${headRef}`);
  const baseSha = await resolveCommit(repository.directory, `refs/heads/${baseRef}`);
  if (headSha === undefined) {
    throw invalid("PullRequest", "head", "head is invalid");
  }
  if (baseSha === undefined) {
    throw invalid("PullRequest", "base", "base is invalid");
  }
  const same = [...repository.pulls.values()].find(
    (pull) =>
      pull.state === "open" &&
      pull.headRepository === headRepository &&
      pull.head.ref === headRef &&
      pull.base.ref === baseRef,
  );
  if (same !== undefined) {
    throw invalid("PullRequest", "head", `A pull request already exists for ${owner}:${headRef}.`);
  }
  const inRepository = headRepository === repository;
  const count = inRepository ? await countBetween(repository.directory, baseSha, headSha) : 1;
  if (count === 0) {
    throw invalid("PullRequest", "head", `No commits between ${baseRef} and ${headRef}`);
  }
  const title = stringIn(body, "title") ?? headRef;
  const text = stringIn(body, "body") ?? null;
  const draft = fieldIn(body, "draft") === true;
  const author = appBot(world);
  const pull = await openPull(world, {
    repository,
    headRepository,
    headRef,
    headSha,
    baseRef,
    baseSha,
    title,
    body: text,
    author,
    draft,
  });
  return { status: 201, body: fullPullShape(world, pull, await pullSize(pull)) };
}

async function showPull(context: Context): Promise<Reply> {
  const pull = findPull(context);
  return { status: 200, body: fullPullShape(context.world, pull, await pullSize(pull)) };
}

function showIssue(context: Context): Reply {
  return { status: 200, body: { ...issueShape(context.world, findPull(context)), closed_by: null } };
}

async function listCommits(context: Context): Promise<Reply> {
  const pull = findPull(context);
  const commits = await commitsBetween(pull.repository.directory, pull.base.sha, pull.head.sha);
  const { items, headers } = page(context, commits.slice(0, COMMITS_MAX));
  return { status: 200, headers, body: items.map((commit) => commitShape(context.world, pull.repository, commit)) };
}

async function listFiles(context: Context): Promise<Reply> {
  const pull = findPull(context);
  const { directory } = pull.repository;
  const base = await mergeBase(directory, pull.base.sha, pull.head.sha);
  if (base === undefined) {
    throw new GitHubRefusal(422, "No common ancestor");
  }
  const changes = await changesBetween(directory, base, pull.head.sha);
  const { items, headers } = page(context, changes.slice(0, FILES_MAX));
  const body = items.map((change) => fileShape(context.world, pull.repository, { ...change, commit: pull.head.sha }));
  return { status: 200, headers, body };
}
