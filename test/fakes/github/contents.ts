/** Files and folders of a repository at a ref. */
import { posix } from "node:path";
import { git, resolveCommit } from "./git-store.ts";
import { GitHubRefusal, notFound } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import type { Route } from "./router.ts";
import { repositoryHtmlUrl, repositoryUrl } from "./shapes.ts";
import type { Json } from "./shapes.ts";

/** Limits of the endpoint: no content in JSON above 1 MB, nothing at all above 100 MB, 1,000 entries of a folder. */
const JSON_CONTENT_BYTES_MAX = 1_048_576;
const CONTENT_BYTES_MAX = 104_857_600;
const ENTRIES_MAX = 1000;
/** GitHub breaks its base64 as MIME does. */
const BASE64_LINE = /.{60}/g;

export const contentRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/repos/{owner}/{repo}/contents/{path}",
    auth: "installation",
    needs: ["contents:read"],
    handle: showContent,
  },
];

interface Entry {
  readonly mode: string;
  readonly type: string;
  readonly sha: string;
  readonly size: number;
  readonly path: string;
}

async function showContent(context: Context): Promise<Reply> {
  const { repository, params, query } = context;
  const ref = query.get("ref") ?? repository.defaultBranch;
  const commit = await resolveCommit(repository.directory, ref);
  if (commit === undefined) {
    throw new GitHubRefusal(404, `No commit found for the ref ${ref}`);
  }
  const path = (params.path ?? "").replace(/\/$/, "");
  const at = { context, commit, ref };
  if (path === "") {
    return listFolder(at, "");
  }
  const entry = await entryAt(at, path);
  if (entry === undefined) {
    throw notFound();
  }
  if (entry.type === "tree") {
    return listFolder(at, path);
  }
  if (entry.type === "commit") {
    return { status: 200, body: submoduleShape(at, entry) };
  }
  return entry.mode === "120000" ? followLink(at, entry) : showFile(at, entry);
}

interface At {
  readonly context: Context;
  readonly commit: string;
  readonly ref: string;
}

async function showFile(at: At, entry: Entry): Promise<Reply> {
  if (entry.size > CONTENT_BYTES_MAX) {
    throw new GitHubRefusal(403, "This API returns blobs up to 100 MB in size.");
  }
  const bytes = await git(at.context.repository.directory, ["cat-file", "blob", entry.sha]);
  if (/\.raw\b/.test(at.context.accept)) {
    return { status: 200, raw: { type: "application/vnd.github.raw+json; charset=utf-8", bytes } };
  }
  const shown = entry.size <= JSON_CONTENT_BYTES_MAX;
  const body = {
    ...entryShape(at, entry, "file"),
    encoding: shown ? "base64" : "none",
    content: shown ? `${bytes.toString("base64").replaceAll(BASE64_LINE, "$&\n")}\n` : "",
  };
  return { status: 200, body };
}

/** As GitHub: a link to a file in the repository answers with that file, any other with itself. */
async function followLink(at: At, entry: Entry): Promise<Reply> {
  const target = (await git(at.context.repository.directory, ["cat-file", "blob", entry.sha])).toString();
  const path = posix.join(posix.dirname(entry.path), target);
  const outside = target.startsWith("/") || path === "." || path.startsWith("..");
  const found = outside ? undefined : await entryAt(at, path);
  if (found?.type === "blob" && found.mode !== "120000") {
    return showFile(at, { ...found, path: entry.path });
  }
  return { status: 200, body: { ...entryShape(at, entry, "symlink"), target } };
}

async function listFolder(at: At, path: string): Promise<Reply> {
  const entries = await list(at, path === "" ? [] : [`${path}/`]);
  const kinds: Record<string, string> = { tree: "dir", commit: "submodule" };
  const body = entries.slice(0, ENTRIES_MAX).map((entry) => {
    const kind = entry.mode === "120000" ? "symlink" : (kinds[entry.type] ?? "file");
    return entryShape(at, entry, kind === "submodule" ? "file" : kind);
  });
  return { status: 200, body };
}

async function entryAt(at: At, path: string): Promise<Entry | undefined> {
  const found = await list(at, [path]);
  return found.find((entry) => entry.path === path);
}

async function list(at: At, paths: readonly string[]): Promise<Entry[]> {
  const args = ["--literal-pathspecs", "ls-tree", "-z", "-l", "--full-tree", at.commit, "--", ...paths];
  const output = (await git(at.context.repository.directory, args)).toString();
  return output.split("\0").flatMap((line) => {
    const match = /^(\d+) (\w+) (\w+) +(-|\d+)\t(.*)$/s.exec(line);
    if (match === null) {
      return [];
    }
    const [, mode = "", type = "", sha = "", size = "0", path = ""] = match;
    return [{ mode, type, sha, size: size === "-" ? 0 : Number(size), path }];
  });
}

function submoduleShape(at: At, entry: Entry): Json {
  return { ...entryShape(at, entry, "submodule"), submodule_git_url: "https://example.com/submodule.git" };
}

function entryShape({ context, ref }: At, entry: Entry, type: string): Json {
  const { world, repository } = context;
  const path = entry.path.split("/").map(encodeURIComponent).join("/");
  const url = `${repositoryUrl(world, repository)}/contents/${path}?ref=${encodeURIComponent(ref)}`;
  const gitUrl = `${repositoryUrl(world, repository)}/git/${entry.type === "tree" ? "trees" : "blobs"}/${entry.sha}`;
  const html = `${repositoryHtmlUrl(world, repository)}/blob/${encodeURIComponent(ref)}/${path}`;
  return {
    name: posix.basename(entry.path),
    path: entry.path,
    sha: entry.sha,
    size: entry.size,
    url,
    html_url: html,
    git_url: gitUrl,
    download_url:
      entry.type === "blob" ? `${repositoryHtmlUrl(world, repository)}/raw/${encodeURIComponent(ref)}/${path}` : null,
    type,
    _links: { self: url, git: gitUrl, html },
  };
}
