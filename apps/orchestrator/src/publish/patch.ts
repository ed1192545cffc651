import {
  checkPatch,
  type EndedRun,
  limits,
  offersPatch,
  type PatchBase,
  type PatchCheck,
  type PatchFile,
  type PullRequestOrigin,
  type RunFacts,
} from "@mayfly/core";
import type { GitHubApp, GitHubClient } from "../github/app.ts";
import { placeOf } from "../github/pull-requests.ts";
import type { GatherFacts } from "../runs/facts.ts";

/** Protected paths that may be touched all the same: none, until an operator can name them. */
const ALLOWED: readonly string[] = [];

/**
 * The files that a run changed, held against the approved commit as GitHub has it; null for a task that publishes no patch
 * and for a run that did not succeed. Writes nothing. Throws GITHUB_UNAVAILABLE, GITHUB_REFUSED.
 */
export async function readPatch(
  app: GitHubApp,
  run: EndedRun,
  origin: PullRequestOrigin,
  { result }: RunFacts,
): Promise<PatchCheck | null> {
  if (run.ending.outcome !== "succeeded" || !offersPatch(run.request.task)) {
    return null;
  }
  const changes = result?.changes ?? ({ state: "withheld", why: "absent" } as const);
  if (changes.state === "withheld") {
    const why = `the machine did not return it (${changes.why.replaceAll("_", " ")})`;
    return { ok: false, code: changes.why === "too_big" ? "E_SIZE" : "E_FRAME", path: null, why };
  }
  const paths = new Set(changes.files.map(({ path }) => path));
  const base = await app.withClient("read", placeOf(origin), (client) => readBase(client, origin, paths));
  return base === null
    ? { ok: false, code: "E_BASE", path: null, why: "the repository has more files than GitHub lists" }
    : checkPatch(changes.files, base, ALLOWED);
}

/** What is put on a branch: nothing that was found wrong, now or when it was offered; null if there is nothing any more. */
export async function readFiles(
  { app, facts }: { readonly app: GitHubApp; readonly facts: GatherFacts },
  run: EndedRun,
  origin: PullRequestOrigin,
): Promise<readonly PatchFile[] | null> {
  const patch = await readPatch(app, run, origin, await facts(run));
  return patch === null || !patch.ok || patch.files.length === 0 ? null : patch.files;
}

/** Null if GitHub does not list all of the tree: then nothing can be said about what a path would meet. */
async function readBase(
  client: GitHubClient,
  { repository, head }: PullRequestOrigin,
  paths: ReadonlySet<string>,
): Promise<PatchBase | null> {
  const where = { owner: repository.owner, repo: repository.name };
  const { data } = await client.request("GET /repos/{owner}/{repo}/git/trees/{tree_sha}", {
    ...where,
    tree_sha: head,
    recursive: "1",
  });
  if (data.truncated) {
    return null;
  }
  const found = data.tree.filter(({ type }) => type !== "tree");
  const entries = new Map(found.map(({ path, mode, sha }) => [path, { mode, sha }]));
  const blobs = new Map<string, Uint8Array>();
  for (const { path, type, sha, size = 0 } of found) {
    if (type === "blob" && paths.has(path) && size <= limits.patchFileBytesMax && !blobs.has(sha)) {
      const blob = await client.request("GET /repos/{owner}/{repo}/git/blobs/{file_sha}", { ...where, file_sha: sha });
      blobs.set(sha, Buffer.from(blob.data.content, "base64"));
    }
  }
  return { entries, blobs };
}
