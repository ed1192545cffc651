/** Commits and comparisons. */
import { changesBetween, commitsBetween, countBetween, mergeBase, readCommit } from "./git-history.ts";
import type { CommitRecord, FileChange, Signature } from "./git-history.ts";
import { resolveCommit } from "./git-store.ts";
import { GitHubRefusal, notFound, page, positive } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import type { Route } from "./router.ts";
import { nodeId, repositoryHtmlUrl, repositoryUrl } from "./shapes.ts";
import type { Json } from "./shapes.ts";
import { isoTime } from "./world.ts";
import type { Repository, World } from "./world.ts";

/** Limits of the comparison: 300 files, 250 commits where no page is asked for. */
const COMPARE_FILES_MAX = 300;
const COMPARE_COMMITS_MAX = 250;

export const commitRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/repos/{owner}/{repo}/commits/{ref}",
    auth: "installation",
    needs: ["contents:read"],
    handle: showCommit,
  },
  {
    method: "GET",
    path: "/repos/{owner}/{repo}/compare/{basehead}",
    auth: "installation",
    needs: ["contents:read"],
    handle: compare,
  },
];

/** A commit with its tree and parents, as lists give it. */
export function commitShape(world: World, repository: Repository, commit: CommitRecord): Json {
  const url = `${repositoryUrl(world, repository)}/commits/${commit.sha}`;
  const html = `${repositoryHtmlUrl(world, repository)}/commit/${commit.sha}`;
  return {
    url,
    sha: commit.sha,
    node_id: nodeId("C", Number.parseInt(commit.sha.slice(0, 8), 16)),
    html_url: html,
    comments_url: `${url}/comments`,
    commit: {
      url: `${repositoryUrl(world, repository)}/git/commits/${commit.sha}`,
      author: signatureShape(commit.author),
      committer: signatureShape(commit.committer),
      message: commit.message,
      comment_count: 0,
      tree: { sha: commit.tree, url: `${repositoryUrl(world, repository)}/git/trees/${commit.tree}` },
      verification: { verified: false, reason: "unsigned", signature: null, payload: null, verified_at: null },
    },
    author: null,
    committer: null,
    parents: commit.parents.map((sha) => ({
      sha,
      url: `${repositoryUrl(world, repository)}/commits/${sha}`,
      html_url: `${repositoryHtmlUrl(world, repository)}/commit/${sha}`,
    })),
  };
}

export function signatureShape(signature: Signature): Json {
  return { name: signature.name, email: signature.email, date: isoTime(signature.at) };
}

/** A changed file as commits, comparisons and pull requests list it. */
export function fileShape(world: World, repository: Repository, file: FileChange & { commit: string }): Json {
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  return {
    sha: file.blob,
    filename: file.path,
    status: file.status,
    additions: file.additions,
    deletions: file.deletions,
    changes: file.additions + file.deletions,
    blob_url: `${repositoryHtmlUrl(world, repository)}/blob/${file.commit}/${path}`,
    raw_url: `${repositoryHtmlUrl(world, repository)}/raw/${file.commit}/${path}`,
    contents_url: `${repositoryUrl(world, repository)}/contents/${path}?ref=${file.commit}`,
    ...(file.patch === undefined ? {} : { patch: file.patch }),
    ...(file.previousPath === undefined ? {} : { previous_filename: file.previousPath }),
  };
}

async function showCommit(context: Context): Promise<Reply> {
  const { world, repository, params } = context;
  const name = params.ref ?? "";
  const sha = await resolveCommit(repository.directory, name);
  if (sha === undefined) {
    throw new GitHubRefusal(422, `No commit found for SHA: ${name}`);
  }
  if (/\bsha\b/.test(context.accept)) {
    return { status: 200, raw: { type: "application/vnd.github.sha; charset=utf-8", bytes: sha } };
  }
  const commit = await readCommit(repository.directory, sha);
  const changes = await changesBetween(repository.directory, commit.parents[0], sha);
  const { items, headers } = page(context, changes);
  const additions = changes.reduce((sum, change) => sum + change.additions, 0);
  const deletions = changes.reduce((sum, change) => sum + change.deletions, 0);
  const body = {
    ...commitShape(world, repository, commit),
    stats: { additions, deletions, total: additions + deletions },
    files: items.map((change) => fileShape(world, repository, { ...change, commit: sha })),
  };
  return { status: 200, headers, body };
}

async function compare(context: Context): Promise<Reply> {
  const { world, repository, params, query } = context;
  const { directory } = repository;
  const [baseName, headName, rest] = (params.basehead ?? "").split("...");
  if (baseName === undefined || headName === undefined || rest !== undefined) {
    throw notFound();
  }
  const base = await resolveSide(world, repository, baseName);
  const head = await resolveSide(world, repository, headName);
  if (base === undefined || head === undefined) {
    throw notFound();
  }
  const merge = await mergeBase(directory, base, head);
  if (merge === undefined) {
    throw new GitHubRefusal(404, `No common ancestor between ${baseName} and ${headName}.`);
  }
  const ahead = await commitsBetween(directory, base, head);
  const behindBy = await countBetween(directory, head, base);
  const paged = query.has("page") || query.has("per_page");
  const { items, headers } = paged ? page(context, ahead) : { items: ahead.slice(-COMPARE_COMMITS_MAX), headers: {} };
  // Only the first page has the files.
  const files = (positive(query.get("page")) ?? 1) > 1 ? [] : await changesBetween(directory, merge, head);
  const url = `${repositoryUrl(world, repository)}/compare/${baseName}...${headName}`;
  const html = `${repositoryHtmlUrl(world, repository)}/compare/${baseName}...${headName}`;
  const body = {
    url: encodeURI(url),
    html_url: encodeURI(html),
    permalink_url: `${repositoryHtmlUrl(world, repository)}/compare/${base}...${head}`,
    diff_url: `${encodeURI(html)}.diff`,
    patch_url: `${encodeURI(html)}.patch`,
    base_commit: commitShape(world, repository, await readCommit(directory, base)),
    merge_base_commit: commitShape(world, repository, await readCommit(directory, merge)),
    status: statusOf(ahead.length, behindBy),
    ahead_by: ahead.length,
    behind_by: behindBy,
    total_commits: ahead.length,
    commits: items.map((commit) => commitShape(world, repository, commit)),
    files: files.slice(0, COMPARE_FILES_MAX).map((change) => fileShape(world, repository, { ...change, commit: head })),
  };
  return { status: 200, headers, body };
}

/** `name` or `owner:name`, the latter in the fork of that owner, if its commit has reached this repository. */
async function resolveSide(world: World, repository: Repository, name: string): Promise<string | undefined> {
  const colon = name.indexOf(":");
  if (colon < 0) {
    return resolveCommit(repository.directory, name);
  }
  const owner = name.slice(0, colon).toLowerCase();
  const side = [...world.repositories.values()].find(
    (candidate) =>
      candidate.owner.login.toLowerCase() === owner &&
      (candidate === repository || candidate.forkOf === repository || repository.forkOf === candidate),
  );
  const sha = side === undefined ? undefined : await resolveCommit(side.directory, name.slice(colon + 1));
  return sha === undefined ? undefined : resolveCommit(repository.directory, sha);
}

function statusOf(ahead: number, behind: number): string {
  if (ahead > 0 && behind > 0) {
    return "diverged";
  }
  if (ahead > 0) {
    return "ahead";
  }
  return behind > 0 ? "behind" : "identical";
}
