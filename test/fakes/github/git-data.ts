/** Blobs, trees, commits and refs by API: how an App commits without a checkout. */
import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { signatureShape } from "./commits.ts";
import { readCommit } from "./git-history.ts";
import type { CommitRecord } from "./git-history.ts";
import { git, gitText, resolveCommit, tryGit } from "./git-store.ts";
import { fieldIn, GitHubRefusal, notFound, stringIn } from "./http.ts";
import type { Context, Reply } from "./http.ts";
import { followBranches } from "./pull-requests.ts";
import type { Route } from "./router.ts";
import { nodeId, repositoryHtmlUrl, repositoryUrl } from "./shapes.ts";
import type { Json } from "./shapes.ts";
import { holds } from "./tokens.ts";
import { appBot } from "./world.ts";

const READ = ["contents:read"];
const WRITE = ["contents:write"];
const BASE = "/repos/{owner}/{repo}/git";
const NO_OBJECT = "0".repeat(40);

export const gitDataRoutes: readonly Route[] = [
  { method: "POST", path: `${BASE}/blobs`, auth: "installation", needs: WRITE, handle: createBlob },
  { method: "GET", path: `${BASE}/blobs/{file_sha}`, auth: "installation", needs: READ, handle: showBlob },
  { method: "POST", path: `${BASE}/trees`, auth: "installation", needs: WRITE, handle: createTree },
  { method: "GET", path: `${BASE}/trees/{tree_sha}`, auth: "installation", needs: READ, handle: showTree },
  { method: "POST", path: `${BASE}/commits`, auth: "installation", needs: WRITE, handle: createCommit },
  { method: "GET", path: `${BASE}/commits/{commit_sha}`, auth: "installation", needs: READ, handle: showCommit },
  { method: "GET", path: `${BASE}/ref/{ref}`, auth: "installation", needs: READ, handle: showRef },
  { method: "POST", path: `${BASE}/refs`, auth: "installation", needs: WRITE, handle: createRef },
  { method: "PATCH", path: `${BASE}/refs/{ref}`, auth: "installation", needs: WRITE, handle: updateRef },
  { method: "DELETE", path: `${BASE}/refs/{ref}`, auth: "installation", needs: WRITE, handle: deleteRef },
];

interface TreeItem {
  readonly path?: string;
  readonly mode?: string;
  readonly type?: string;
  readonly sha?: string | null;
  readonly content?: string;
}

async function createBlob({ world, repository, body }: Context): Promise<Reply> {
  const encoding = stringIn(body, "encoding") === "base64" ? "base64" : "utf8";
  const input = Buffer.from(stringIn(body, "content") ?? "", encoding);
  const sha = await gitText(repository.directory, ["hash-object", "-w", "--stdin"], { input });
  return { status: 201, body: { sha, url: `${repositoryUrl(world, repository)}/git/blobs/${sha}` } };
}

async function showBlob({ world, repository, params }: Context): Promise<Reply> {
  const sha = objectId(params.file_sha);
  const answer = await tryGit(repository.directory, ["cat-file", "blob", sha]);
  if (answer.code !== 0) {
    throw notFound();
  }
  const url = `${repositoryUrl(world, repository)}/git/blobs/${sha}`;
  const content = answer.stdout.toString("base64");
  return { status: 200, body: { sha, node_id: sha, size: answer.stdout.length, url, content, encoding: "base64" } };
}

async function createTree(context: Context): Promise<Reply> {
  const { world, repository, body, token } = context;
  const { directory } = repository;
  const items = (fieldIn(body, "tree") ?? []) as readonly TreeItem[];
  const workflows = items.some((item) => /^\.github\/workflows\//i.test(item.path ?? ""));
  if (workflows && (token === undefined || !holds(token, "workflows:write"))) {
    throw new GitHubRefusal(403, "Resource not accessible by integration");
  }
  const env = { GIT_INDEX_FILE: join(world.root, `index-${world.nextId()}`) };
  try {
    const base = stringIn(body, "base_tree");
    if (base !== undefined) {
      const read = await tryGit(directory, ["read-tree", objectId(base)], { env });
      if (read.code !== 0) {
        throw new GitHubRefusal(404, "base_tree is not a tree oid");
      }
    }
    const lines: string[] = [];
    for (const item of items) {
      lines.push(await indexLine(directory, item));
    }
    const update = await tryGit(directory, ["update-index", "-z", "--index-info"], {
      env,
      input: Buffer.from(lines.join("")),
    });
    if (update.code !== 0) {
      throw new GitHubRefusal(422, "GitRPC::BadObjectState");
    }
    const tree = await tryGit(directory, ["write-tree"], { env });
    if (tree.code !== 0) {
      throw new GitHubRefusal(422, "GitRPC::BadObjectState");
    }
    return { status: 201, body: await treeShape(context, tree.stdout.toString().trim(), false) };
  } finally {
    await unlink(env.GIT_INDEX_FILE).catch(() => undefined);
  }
}

async function indexLine(directory: string, item: TreeItem): Promise<string> {
  const path = item.path ?? "";
  const bad =
    path === "" ||
    path.startsWith("/") ||
    path.split("/").some((part) => ["", ".", ".."].includes(part) || part.toLowerCase() === ".git");
  if (bad) {
    throw new GitHubRefusal(422, "tree.path contains a malformed path component");
  }
  if (item.sha === null) {
    return `0 ${NO_OBJECT}\t${path}\0`;
  }
  if (item.mode === undefined) {
    throw new GitHubRefusal(422, "Must supply a valid tree.mode");
  }
  if (item.mode === "040000") {
    throw new GitHubRefusal(422, "trees as entries are not served here: list the files");
  }
  if (item.content !== undefined && item.sha !== undefined) {
    throw new GitHubRefusal(422, "Must supply either tree.sha or tree.content");
  }
  const sha =
    item.content === undefined
      ? objectId(item.sha ?? "")
      : await gitText(directory, ["hash-object", "-w", "--stdin"], { input: Buffer.from(item.content) });
  return `${item.mode} ${sha}\t${path}\0`;
}

async function showTree(context: Context): Promise<Reply> {
  const name = context.params.tree_sha ?? "";
  const commit = await resolveCommit(context.repository.directory, name);
  const sha =
    commit === undefined
      ? objectId(name)
      : await gitText(context.repository.directory, ["rev-parse", `${commit}^{tree}`]);
  return { status: 200, body: await treeShape(context, sha, context.query.has("recursive")) };
}

async function treeShape({ world, repository }: Context, sha: string, recursive: boolean): Promise<Json> {
  const answer = await tryGit(repository.directory, ["ls-tree", "-z", "-l", ...(recursive ? ["-r", "-t"] : []), sha]);
  if (answer.code !== 0) {
    throw notFound();
  }
  const base = `${repositoryUrl(world, repository)}/git`;
  const tree = answer.stdout
    .toString()
    .split("\0")
    .flatMap((line) => {
      const match = /^(\d+) (\w+) (\w+) +(-|\d+)\t(.*)$/s.exec(line);
      if (match === null) {
        return [];
      }
      const [, mode, type, object = "", size, path] = match;
      const url = `${base}/${type === "tree" ? "trees" : "blobs"}/${object}`;
      return [{ path, mode, type, sha: object, url, ...(size === "-" ? {} : { size: Number(size) }) }];
    });
  return { sha, url: `${base}/trees/${sha}`, tree, truncated: false };
}

async function createCommit(context: Context): Promise<Reply> {
  const { world, repository, body } = context;
  const { directory } = repository;
  const parents = ((fieldIn(body, "parents") ?? []) as readonly string[]).map(objectId);
  const bot = {
    name: appBot(world).login,
    email: `${appBot(world).id}+${appBot(world).login}@users.noreply.example.com`,
  };
  const author = { ...bot, ...(fieldIn(body, "author") as object | undefined) };
  const committer = { ...author, ...(fieldIn(body, "committer") as object | undefined) };
  const date = `${Math.floor(world.now() / 1000)} +0000`;
  const env = {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_AUTHOR_DATE: stringIn(author, "date") ?? date,
    GIT_COMMITTER_NAME: committer.name,
    GIT_COMMITTER_EMAIL: committer.email,
    GIT_COMMITTER_DATE: stringIn(committer, "date") ?? date,
  };
  const args = [
    "commit-tree",
    objectId(stringIn(body, "tree") ?? ""),
    ...parents.flatMap((parent) => ["-p", parent]),
    "-F",
    "-",
  ];
  const answer = await tryGit(directory, args, { env, input: Buffer.from(stringIn(body, "message") ?? "") });
  if (answer.code !== 0) {
    throw new GitHubRefusal(422, "Tree SHA or a parent SHA does not exist");
  }
  const commit = await readCommit(directory, answer.stdout.toString().trim());
  return { status: 201, body: gitCommitShape(context, commit) };
}

async function showCommit(context: Context): Promise<Reply> {
  const sha = objectId(context.params.commit_sha);
  const found = await resolveCommit(context.repository.directory, sha);
  if (found === undefined) {
    throw notFound();
  }
  return { status: 200, body: gitCommitShape(context, await readCommit(context.repository.directory, sha)) };
}

function gitCommitShape({ world, repository }: Context, commit: CommitRecord): Json {
  const base = `${repositoryUrl(world, repository)}/git`;
  const html = (sha: string): string => `${repositoryHtmlUrl(world, repository)}/commit/${sha}`;
  return {
    sha: commit.sha,
    node_id: nodeId("C", Number.parseInt(commit.sha.slice(0, 8), 16)),
    url: `${base}/commits/${commit.sha}`,
    html_url: html(commit.sha),
    author: signatureShape(commit.author),
    committer: signatureShape(commit.committer),
    tree: { sha: commit.tree, url: `${base}/trees/${commit.tree}` },
    message: commit.message,
    parents: commit.parents.map((sha) => ({ sha, url: `${base}/commits/${sha}`, html_url: html(sha) })),
    verification: { verified: false, reason: "unsigned", signature: null, payload: null, verified_at: null },
  };
}

async function showRef(context: Context): Promise<Reply> {
  const ref = `refs/${context.params.ref ?? ""}`;
  const sha = await resolveCommit(context.repository.directory, ref);
  if (sha === undefined) {
    throw notFound();
  }
  return { status: 200, body: refShape(context, ref, sha) };
}

async function createRef(context: Context): Promise<Reply> {
  const { world, repository, body } = context;
  const ref = stringIn(body, "ref") ?? "";
  const sha = await requireCommit(context);
  const format = await tryGit(repository.directory, ["check-ref-format", ref]);
  if (format.code !== 0 || !/^refs\/(?:heads|tags)\//.test(ref)) {
    throw new GitHubRefusal(422, "Reference name is not valid");
  }
  const update = await tryGit(repository.directory, ["update-ref", ref, sha, NO_OBJECT]);
  if (update.code !== 0) {
    throw new GitHubRefusal(422, "Reference already exists");
  }
  repository.pushedAt = world.now();
  return { status: 201, body: refShape(context, ref, sha) };
}

async function updateRef(context: Context): Promise<Reply> {
  const { world, repository, body, params } = context;
  const { directory } = repository;
  const ref = `refs/${params.ref ?? ""}`;
  const before = await resolveCommit(directory, ref);
  if (before === undefined) {
    throw new GitHubRefusal(422, "Reference does not exist");
  }
  const sha = await requireCommit(context);
  const forward = (await tryGit(directory, ["merge-base", "--is-ancestor", before, sha])).code === 0;
  if (!forward && fieldIn(body, "force") !== true) {
    throw new GitHubRefusal(422, "Update is not a fast forward");
  }
  const update = await tryGit(directory, ["update-ref", ref, sha, before]);
  if (update.code !== 0) {
    throw new GitHubRefusal(409, "Reference cannot be updated");
  }
  repository.pushedAt = world.now();
  await followBranches(world, repository, appBot(world));
  return { status: 200, body: refShape(context, ref, sha) };
}

async function deleteRef({ world, repository, params }: Context): Promise<Reply> {
  const ref = `refs/${params.ref ?? ""}`;
  if ((await resolveCommit(repository.directory, ref)) === undefined) {
    throw new GitHubRefusal(422, "Reference does not exist");
  }
  await git(repository.directory, ["update-ref", "-d", ref]);
  repository.pushedAt = world.now();
  await followBranches(world, repository, appBot(world));
  return { status: 204 };
}

async function requireCommit({ repository, body }: Context): Promise<string> {
  const sha = objectId(stringIn(body, "sha") ?? "");
  const found = await resolveCommit(repository.directory, sha);
  if (found !== sha) {
    throw new GitHubRefusal(422, "Object does not exist");
  }
  return sha;
}

function refShape({ world, repository }: Context, ref: string, sha: string): Json {
  const base = `${repositoryUrl(world, repository)}/git`;
  return {
    ref,
    node_id: Buffer.from(ref).toString("base64url"),
    url: `${base}/${ref}`,
    object: { type: "commit", sha, url: `${base}/commits/${sha}` },
  };
}

function objectId(text: string | undefined): string {
  if (text === undefined || !/^[0-9a-f]{40}$/.test(text)) {
    throw new GitHubRefusal(422, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].");
  }
  return text;
}
