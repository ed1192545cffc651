import { type GitHubClient, type Place, statusOf } from "./app.ts";

/** What stands at a path. */
type Content =
  | { readonly kind: "none" }
  | { readonly kind: "text"; readonly text: string; readonly blob: string }
  /** `what` follows "is". */
  | { readonly kind: "odd"; readonly what: string; readonly blob: string };

/** A path at a commit or branch. GitHub follows a link to a file of the same repository by itself. */
export async function readContent(
  client: GitHubClient,
  place: Place,
  { path, ref, bytesMax }: { path: string; ref: string; bytesMax: number },
): Promise<Content> {
  const { owner, name: repo } = place.repository;
  const found = await orNull(client.request("GET /repos/{owner}/{repo}/contents/{path}", { owner, repo, path, ref }));
  if (found === null) {
    return { kind: "none" };
  }
  const { data } = found;
  if (Array.isArray(data)) {
    return { kind: "odd", what: "a folder", blob: "" };
  }
  if (data.type !== "file") {
    return { kind: "odd", what: `no regular file (${data.type})`, blob: data.sha };
  }
  if (data.size > bytesMax || data.encoding !== "base64") {
    return { kind: "odd", what: `bigger than ${bytesMax / 1024} KiB`, blob: data.sha };
  }
  return { kind: "text", text: Buffer.from(data.content, "base64").toString("utf8"), blob: data.sha };
}

/** One thing in a folder. */
interface FolderEntry {
  readonly name: string;
  /** By its content: equal for equal content. */
  readonly sha: string;
}

/** What lies in a folder at a commit or branch, at most the 1,000 that GitHub lists; none if there is no such folder. */
export async function readFolder(
  client: GitHubClient,
  place: Place,
  at: { path: string; ref: string },
): Promise<FolderEntry[]> {
  const { owner, name: repo } = place.repository;
  const found = await orNull(client.request("GET /repos/{owner}/{repo}/contents/{path}", { owner, repo, ...at }));
  return Array.isArray(found?.data) ? found.data.map(({ name, sha }) => ({ name, sha })) : [];
}

/** GitHub's answer, or null for its 404. Throws what the request throws. */
export async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) {
      return null;
    }
    throw error;
  }
}
