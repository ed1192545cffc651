import {
  judgeTaskChange,
  limits,
  type PullRequestEvent,
  refuseRepository,
  renderTaskCheck,
  TASK_FOLDER,
  type TaskContent,
  taskCheckId,
  type TaskFileChange,
  type TaskTerms,
} from "@mayfly/core";
import type { GitHubApp, GitHubClient, Place } from "../github/app.ts";
import { orNull, readContent, readFolder } from "../github/contents.ts";
import { readPullRequest } from "../github/pull-requests.ts";
import { ensureCheckRun } from "./check-run.ts";

/** A pull request as it is. */
type Seen = Pick<PullRequestEvent, "installation" | "repository" | "pullRequest">;

/**
 * Says on a pull request, in the check `mayfly / tasks` on its head, what its changes of task files come to. Idempotent: one
 * check for a pull request and head, however often the same delivery comes. Needs no run and no machine, and reads through
 * the App alone. Both throw GITHUB_UNAVAILABLE, GITHUB_REFUSED, and return what was done, for the delivery's record.
 */
export interface TaskCheck {
  ensureShown(seen: Seen): Promise<string>;
  /** The same for an open pull request into the default branch that is to be looked up first: as it is now. */
  ensureShownAgain(asked: Pick<Seen, "installation" | "repository"> & { readonly number: number }): Promise<string>;
}

export function createTaskCheck(deps: { app: GitHubApp; terms: TaskTerms }): TaskCheck {
  const { app, terms } = deps;

  async function ensureShown({ installation, repository, pullRequest }: Seen): Promise<string> {
    const foreign = refuseRepository(`${repository.owner}/${repository.name}`, terms.ceiling);
    if (foreign !== null) {
      return foreign;
    }
    const place: Place = { installation, repository };
    const head = pullRequest.head.sha;
    const changes = await app.withClient("read", place, (client) =>
      readChanges(client, place, { base: pullRequest.base.sha, head }),
    );
    if (changes.files.length === 0) {
      return "no task file changes";
    }
    const judged = changes.files.map((change) => judgeTaskChange(change, terms));
    const content = renderTaskCheck(judged, changes.more, repository.defaultBranch);
    const { id: appId } = await app.identity();
    const check = { repository, head, name: CHECK_NAME, externalId: taskCheckId(pullRequest.number) };
    await app.withClient("progress", place, (client) => ensureCheckRun({ client, appId, check, content }));
    return content.title;
  }

  return {
    ensureShown,
    async ensureShownAgain({ installation, repository, number }) {
      const place: Place = { installation, repository };
      const pullRequest = await app.withClient("read", place, (client) => readPullRequest(client, place, number));
      return pullRequest?.state === "open" && pullRequest.base.ref === repository.defaultBranch
        ? ensureShown({ installation, repository, pullRequest })
        : `pull request ${number} is not open for the default branch`;
    },
  };
}

const CHECK_NAME = "mayfly / tasks";

/** What the pull request itself changes: between the merge base and its head, not what came to the base meanwhile. */
async function readChanges(
  client: GitHubClient,
  place: Place,
  { base, head }: { base: string; head: string },
): Promise<{ files: TaskFileChange[]; more: number }> {
  const [now, there] = await Promise.all([listTasks(client, place, head), listTasks(client, place, base)]);
  // Two small requests, however much is changed; nearly every pull request ends here.
  if (changedNames(there, now).length === 0) {
    return { files: [], more: 0 };
  }
  const from = await readMergeBase(client, place, { base, head });
  const before = from === base || from === null ? there : await listTasks(client, place, from);
  const names = changedNames(before, now);
  const looked = names.slice(0, limits.taskFilesCheckedMax);
  const files: TaskFileChange[] = [];
  for (const name of looked) {
    files.push({
      name,
      before: await readTask(client, place, { name, ref: from ?? base, isThere: before.has(name) }),
      after: await readTask(client, place, { name, ref: head, isThere: now.has(name) }),
    });
  }
  return { files, more: names.length - looked.length };
}

/** The files of the folder that are meant for tasks, each with the id of its content. */
async function listTasks(client: GitHubClient, place: Place, ref: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readFolder(client, place, { path: TASK_FOLDER, ref });
  return new Map(entries.filter(({ name }) => TASK_FILE.test(name)).map(({ name, sha }) => [name, sha]));
}

/** What lies beside task files, such as words about them, is nobody's label. */
const TASK_FILE = /^(?!readme\.md$).*\.md$/is;

function changedNames(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const names = [...new Set([...after.keys(), ...before.keys()])].sort();
  return names.filter((name) => before.get(name) !== after.get(name));
}

/** Null where the two share no history. */
async function readMergeBase(
  client: GitHubClient,
  { repository: { owner, name: repo } }: Place,
  { base, head }: { base: string; head: string },
): Promise<string | null> {
  const basehead = `${base}...${head}`;
  const found = await orNull(
    client.request("GET /repos/{owner}/{repo}/compare/{basehead}", { owner, repo, basehead, per_page: 1 }),
  );
  return found?.data.merge_base_commit.sha ?? null;
}

async function readTask(
  client: GitHubClient,
  place: Place,
  { name, ref, isThere }: { name: string; ref: string; isThere: boolean },
): Promise<TaskContent> {
  return isThere
    ? readContent(client, place, { path: `${TASK_FOLDER}/${name}`, ref, bytesMax: limits.taskBytesMax })
    : { kind: "none" };
}
