/** What tests see of repositories and pull requests. */
import { pullHtmlUrl } from "./pull-shapes.ts";
import { findRepository, fullNameOf, installationOf } from "./world.ts";
import type { CheckRun, Comment, Pull, Repository, Review, World } from "./world.ts";

/** Names a pull request: `owner/name` and number. */
export interface PullRef {
  readonly repo: string;
  readonly number: number;
}

/** A pull request as it is now, with all that is on it. */
export interface PullView extends PullRef {
  readonly id: number;
  readonly repositoryId: number;
  readonly url: string;
  readonly state: "open" | "closed";
  readonly title: string;
  readonly body: string | null;
  readonly draft: boolean;
  readonly author: string;
  readonly headRef: string;
  readonly headSha: string;
  readonly headRepo: string;
  readonly baseRef: string;
  readonly baseSha: string;
  readonly labels: readonly string[];
  readonly comments: readonly Readonly<Comment>[];
  readonly reviews: readonly Readonly<Review>[];
  /** Those of the present head. */
  readonly checkRuns: readonly Readonly<CheckRun>[];
}

export interface RepositoryView {
  readonly id: number;
  readonly fullName: string;
  readonly private: boolean;
  readonly defaultBranch: string;
  readonly installationId: number | undefined;
  readonly cloneUrl: string;
}

export function viewPull(world: World, pull: Pull): PullView {
  const { repository, headRepository } = pull;
  return {
    repo: fullNameOf(repository),
    number: pull.number,
    id: pull.id,
    repositoryId: repository.id,
    url: pullHtmlUrl(world, pull),
    state: pull.state,
    title: pull.title,
    body: pull.body,
    draft: pull.draft,
    author: pull.author.login,
    headRef: pull.head.ref,
    headSha: pull.head.sha,
    headRepo: fullNameOf(headRepository),
    baseRef: pull.base.ref,
    baseSha: pull.base.sha,
    labels: [...pull.labels],
    comments: [...repository.comments.values()].filter((comment) => comment.pullNumber === pull.number),
    reviews: [...pull.reviews],
    checkRuns: [...repository.checkRuns.values()].filter((run) => run.headSha === pull.head.sha),
  };
}

export function viewRepository(world: World, repository: Repository): RepositoryView {
  return {
    id: repository.id,
    fullName: fullNameOf(repository),
    private: repository.private,
    defaultBranch: repository.defaultBranch,
    installationId: installationOf(world, repository)?.id,
    cloneUrl: `${world.url}/${fullNameOf(repository)}.git`,
  };
}

export function requireRepository(world: World, repo: string): Repository {
  const repository = findRepository(world, repo);
  if (repository === undefined) {
    throw new Error(`no repository ${repo}`);
  }
  return repository;
}

export function requirePull(world: World, { repo, number }: PullRef): Pull {
  const pull = requireRepository(world, repo).pulls.get(number);
  if (pull === undefined) {
    throw new Error(`no pull request ${repo}#${number}`);
  }
  return pull;
}

export function requireRun(world: World, repo: string, id: number): { repository: Repository; run: CheckRun } {
  const repository = requireRepository(world, repo);
  const run = repository.checkRuns.get(id);
  if (run === undefined) {
    throw new Error(`no check run ${id}`);
  }
  return { repository, run };
}
