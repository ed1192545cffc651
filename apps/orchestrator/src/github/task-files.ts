import { limits, type TaskSource } from "@mayfly/core";
import { DEFAULTS_REPOSITORY } from "../signer/purposes.ts";
import { type GitHubApp, type GitHubClient, type Place, statusOf } from "./app.ts";
import { orNull, readContent, readFolder } from "./contents.ts";

/** What there is for a label. */
export type TaskReading =
  | { readonly kind: "found"; readonly text: string; readonly source: TaskSource }
  /** Something stands at the file's place that is no text of at most limits.taskBytesMax bytes: nothing stands in for it. */
  | { readonly kind: "odd"; readonly what: string; readonly source: TaskSource }
  /** Neither repository has it. */
  | { readonly kind: "none" };

/** Where task files are looked for: a client that may read, and the default branch of what it reads. */
interface Shelf {
  readonly client: GitHubClient;
  readonly place: Place;
  readonly branch: string;
  readonly from: TaskSource["from"];
}

/**
 * The file of a task: the repository's own, and only if that has nothing of this path the one in its owner's repository
 * `.github`. Both at the commit that the default branch is at now. Throws GITHUB_UNAVAILABLE, GITHUB_REFUSED.
 */
export async function readTask(
  app: Pick<GitHubApp, "withClient">,
  own: Omit<Shelf, "from">,
  path: string,
): Promise<TaskReading> {
  const found = await readFrom({ ...own, from: "repository" }, path);
  if (found.kind !== "none") {
    return found;
  }
  return (await withDefaults(app, own.place, (shelf) => readFrom(shelf, path))) ?? found;
}

/** The names of all task files: the repository's own and its owner's. Throws as above. */
export async function readTaskFolder(
  app: Pick<GitHubApp, "withClient">,
  own: Omit<Shelf, "from">,
  path: string,
): Promise<string[]> {
  const [names, defaults] = await Promise.all([
    readFolder(own.client, own.place, { path, ref: own.branch }),
    withDefaults(app, own.place, ({ client, place, branch }) => readFolder(client, place, { path, ref: branch })),
  ]);
  return [...new Set([...names, ...(defaults ?? [])].map(({ name }) => name))];
}

/** Null where the owner has no repository `.github`, the App is not installed on it, or it is the place itself. */
async function withDefaults<T>(
  app: Pick<GitHubApp, "withClient">,
  place: Place,
  use: (shelf: Shelf) => Promise<T>,
): Promise<T | null> {
  const { owner, name, id } = place.repository;
  if (name.toLowerCase() === DEFAULTS_REPOSITORY) {
    return null;
  }
  try {
    return await app.withClient("defaults", place, async (client) => {
      const found = await orNull(client.request("GET /repos/{owner}/{repo}", { owner, repo: DEFAULTS_REPOSITORY }));
      const at = { ...place, repository: { id: Number(found?.data.id ?? id), owner, name: DEFAULTS_REPOSITORY } };
      return found === null
        ? null
        : use({ client, place: at, branch: found.data.default_branch, from: "organisation" });
    });
  } catch (error) {
    // GitHub's answer to a token for a repository that is not there, or not the App's to read: 422.
    if (error instanceof Error && statusOf(error.cause) === 422) {
      return null;
    }
    throw error;
  }
}

async function readFrom({ client, place, branch, from }: Shelf, path: string): Promise<TaskReading> {
  const { owner, name } = place.repository;
  const at = await orNull(client.request("GET /repos/{owner}/{repo}/branches/{branch}", { owner, repo: name, branch }));
  if (at === null) {
    return { kind: "none" };
  }
  const commit = at.data.commit.sha;
  const content = await readContent(client, place, { path, ref: commit, bytesMax: limits.taskBytesMax });
  if (content.kind === "none") {
    return content;
  }
  const source = { from, owner, name, path, commit, blob: content.blob };
  return content.kind === "text"
    ? { kind: "found", text: content.text, source }
    : { kind: "odd", what: content.what, source };
}
