import type { PatchFile, PullRequestOrigin } from "@mayfly/core";
import type { GitHubClient } from "../github/app.ts";

/**
 * Blobs, a tree and a commit on the approved one that nothing points to yet. Without author and committer GitHub signs it
 * as the App. The same files are the same tree, whoever makes it and when.
 */
export async function makeCommit(
  client: GitHubClient,
  origin: PullRequestOrigin,
  files: readonly PatchFile[],
  message: string,
): Promise<{ readonly commit: string; readonly tree: string }> {
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
  return { commit: commit.sha, tree: made.sha };
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

export function whereOf({ repository }: PullRequestOrigin): { owner: string; repo: string } {
  return { owner: repository.owner, repo: repository.name };
}
