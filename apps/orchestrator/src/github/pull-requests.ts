import {
  AppError,
  type ChangedFile,
  limits,
  OPERATOR_ROLE,
  type PullRequestFacts,
  type PullRequestOrigin,
  type PullRequests,
  readWebhookPullRequest,
  type Repository,
  type WebhookPullRequest,
} from "@mayfly/core";
import { z } from "zod";
import { orNull, readContent } from "./contents.ts";
import { readTask, readTaskFolder, type TaskReading } from "./task-files.ts";
import { type GitHubApp, type GitHubClient, type Place, statusOf } from "./app.ts";

/** GitHub lists at most 250 commits of a comparison (REST: compare two commits). */
const COMPARE_PAGE = 100;

/** What one token reads, while it lives. */
export interface Reading {
  /** The live `role_name`; "none" for somebody GitHub does not know here. */
  role(login: string): Promise<string>;
  /** A text file at a commit or branch; null if there is none, or it is no regular file or too big. */
  file(path: string, ref: string, bytesMax: number): Promise<string | null>;
  /** The task file of this path at the default branch, or the organisation's in its stead. */
  task(path: string, defaultBranch: string): Promise<TaskReading>;
  /** The names of the task files in this folder, the organisation's among them. */
  taskFolder(path: string, defaultBranch: string): Promise<string[]>;
  /** The repository as it is now, by its id: its name may have changed. */
  repository(): Promise<Repository & { readonly defaultBranch: string }>;
  /** A pull request as it is now; null if GitHub knows none of this number. */
  pullRequest(number: number): Promise<WebhookPullRequest | null>;
  /** A comment as it is now; null if it is gone. */
  comment(id: number): Promise<{ body: string; userId: number | null; isEdited: boolean } | null>;
  /** The pull request's commits from the merge base on, oldest first, the merge base, and what they change. */
  commits(range: { base: string; head: string }): Promise<Comparison>;
}

/** What lies between two commits. */
interface Comparison {
  readonly commits: string[];
  /** Null when they share no history: then nothing else is known. */
  readonly mergeBase: string | null;
  /** The first limits.comparedFilesMax that differ, for GitHub lists no more. */
  readonly files: readonly ChangedFile[];
}

/** What Mayfly reads of pull requests. */
export interface PullRequestReader extends PullRequests {
  /** The commits of a run's pull request, and its repository by the name it has now. */
  commitsOf(origin: PullRequestOrigin): Promise<Comparison & { readonly repository: Repository }>;
  /** Lends one token for everything read in `use`. */
  reading<T>(place: Place, use: (reading: Reading) => Promise<T>): Promise<T>;
}

export function createPullRequestReader(app: Pick<GitHubApp, "withClient">): PullRequestReader {
  return {
    commitsOf: (origin) =>
      app.withClient("read", placeOf(origin), async (client) => {
        const { id, owner, name } = await readRepository(client, origin.repository.id);
        const repository = { id, owner, name };
        return { ...(await listCommits(client, { ...placeOf(origin), repository }, origin)), repository };
      }),
    lookAt: (origin) => app.withClient("read", placeOf(origin), (client) => lookAt(client, origin)),
    reading: (place, use) =>
      app.withClient("read", place, (client) =>
        use({
          role: (login) => readRole(client, place, login),
          file: async (path, ref, bytesMax) => {
            const content = await readContent(client, place, { path, ref, bytesMax });
            return content.kind === "text" ? content.text : null;
          },
          task: (path, branch) => readTask(app, { client, place, branch }, path),
          taskFolder: (path, branch) => readTaskFolder(app, { client, place, branch }, path),
          repository: () => readRepository(client, place.repository.id),
          pullRequest: (number) => readPullRequest(client, place, number),
          comment: (id) => readComment(client, place, id),
          commits: (range) => listCommits(client, place, range),
        }),
      ),
  };
}

export function placeOf({ installation, repository }: PullRequestOrigin): Place {
  return { installation, repository };
}

async function lookAt(client: GitHubClient, origin: PullRequestOrigin): Promise<PullRequestFacts> {
  const { owner, name: repo } = origin.repository;
  const { data } = await client.request("GET /repos/{owner}/{repo}/pulls/{pull_number}", {
    owner,
    repo,
    pull_number: origin.number,
  });
  return {
    open: data.state === "open",
    head: data.head.sha,
    role:
      origin.actor.type === "Operator" ? OPERATOR_ROLE : await readRole(client, placeOf(origin), origin.actor.login),
    labelled: data.labels.some(({ name }) => name === origin.label),
    baseRef: data.base.ref,
    draft: data.draft ?? false,
  };
}

/** The live `role_name`; "none" for somebody GitHub does not know here. */
export async function readRole(client: GitHubClient, place: Place, login: string): Promise<string> {
  const { owner, name: repo } = place.repository;
  try {
    const { data } = await client.request("GET /repos/{owner}/{repo}/collaborators/{username}/permission", {
      owner,
      repo,
      username: login,
    });
    // `permission` folds triage into read and maintain into write; `role_name` does not.
    return data.role_name;
  } catch (error) {
    if (statusOf(error) === 404) {
      return "none";
    }
    throw error;
  }
}

const RepositoryName = z.object({
  name: z.string().regex(/^[\w.-]{1,100}$/),
  owner: z.object({ login: z.string().regex(/^[\w-]{1,100}$/) }),
  default_branch: z.string().min(1).max(1_024),
});

/** By its id, where GitHub leads to from former names: a name may be another repository's by now. */
async function readRepository(client: GitHubClient, id: number): Promise<Repository & { defaultBranch: string }> {
  const { data } = await client.request("GET /repositories/{repository_id}", { repository_id: id });
  const read = RepositoryName.safeParse(data);
  if (!read.success) {
    throw new AppError("GITHUB_UNAVAILABLE", "GitHub's answer is not that of a repository");
  }
  const { name, owner, default_branch: defaultBranch } = read.data;
  return { id, owner: owner.login, name, defaultBranch };
}

async function readComment(client: GitHubClient, place: Place, id: number) {
  const { owner, name: repo } = place.repository;
  const found = await orNull(
    client.request("GET /repos/{owner}/{repo}/issues/comments/{comment_id}", { owner, repo, comment_id: id }),
  );
  if (found === null) {
    return null;
  }
  const { body, user, created_at: createdAt, updated_at: updatedAt } = found.data;
  return { body: body ?? "", userId: user === null ? null : Number(user.id), isEdited: createdAt !== updatedAt };
}

export async function readPullRequest(
  client: GitHubClient,
  place: Place,
  number: number,
): Promise<WebhookPullRequest | null> {
  const { owner, name: repo } = place.repository;
  const found = await orNull(
    client.request("GET /repos/{owner}/{repo}/pulls/{pull_number}", { owner, repo, pull_number: number }),
  );
  // The same bounds as for what GitHub sends by itself.
  return found === null ? null : readWebhookPullRequest(found.data);
}

async function listCommits(
  client: GitHubClient,
  place: Place,
  range: { base: string; head: string },
): Promise<Comparison> {
  const { owner, name: repo } = place.repository;
  const commits: string[] = [];
  const files: ChangedFile[] = [];
  for (let page = 1; ; page++) {
    const found = await orNull(
      client.request("GET /repos/{owner}/{repo}/compare/{basehead}", {
        owner,
        repo,
        basehead: `${range.base}...${range.head}`,
        per_page: COMPARE_PAGE,
        page,
      }),
    );
    // No common ancestor, as after a push by force. A commit that is gone is found out when its source is fetched.
    if (found === null) {
      return { commits: [], mergeBase: null, files: [] };
    }
    const { data } = found;
    commits.push(...data.commits.map(({ sha }) => sha));
    // Only the first page has them.
    files.push(
      ...(data.files ?? []).map(({ filename: path, previous_filename: before, additions, deletions }) => {
        return { path, before: before ?? null, added: additions, removed: deletions };
      }),
    );
    if (data.commits.length < COMPARE_PAGE || commits.length >= limits.sourceCommitsMax) {
      return { commits: commits.slice(-limits.sourceCommitsMax), mergeBase: data.merge_base_commit.sha, files };
    }
  }
}
