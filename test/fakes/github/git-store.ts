/** Real bare git repositories, by the git program itself. */
import { spawn } from "node:child_process";
import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";

/** A hung git must not hang a test for longer than this. */
const GIT_TIMEOUT_MS = 60_000;

/** Any object may be asked for by its id, as on GitHub; nothing is ever collected. */
const SERVER_CONFIGURATION = `
[uploadpack]
	allowAnySHA1InWant = true
	allowReachableSHA1InWant = true
	allowFilter = true
[http]
	receivepack = true
[gc]
	auto = 0
`;

/**
 * Bytes or text; null removes the file; the long form sets a mode such as 100755 or 120000, or 160000 for a submodule, whose
 * content is its commit's id. In a path U+DC80 to U+DCFF, alone, stand for the bytes 80 to FF, which are no UTF-8.
 */
type FileContent = string | Uint8Array | null | { readonly content: string | Uint8Array; readonly mode: string };
export type Files = Readonly<Record<string, FileContent>>;

/** The whole environment of every git here: no configuration of the person who runs the tests reaches it. */
export const gitEnvironment: Readonly<Record<string, string>> = {
  PATH: "/usr/local/bin:/usr/bin:/bin",
  HOME: "/nonexistent",
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_TERMINAL_PROMPT: "0",
  // A folder given by the demo may belong to another user than the one who runs it.
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "safe.directory",
  GIT_CONFIG_VALUE_0: "*",
};

export interface GitAnswer {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface GitInput {
  readonly input?: Buffer;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs git and returns its answer, whatever its exit code. */
export function tryGit(directory: string, args: readonly string[], more: GitInput = {}): Promise<GitAnswer> {
  return new Promise((resolve, reject) => {
    const child = spawn("git", args, {
      cwd: directory,
      env: { ...gitEnvironment, ...more.env },
      timeout: GIT_TIMEOUT_MS,
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.on("error", reject);
    // git may exit before it has read everything.
    child.stdin.on("error", () => undefined);
    child.on("close", (code) => {
      resolve({ code: code ?? -1, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() });
    });
    child.stdin.end(more.input);
  });
}

/** Runs git; throws when it fails. */
export async function git(directory: string, args: readonly string[], more: GitInput = {}): Promise<Buffer> {
  const answer = await tryGit(directory, args, more);
  if (answer.code !== 0) {
    throw new Error(`git ${args[0] ?? ""} exited with ${answer.code}: ${answer.stderr}`);
  }
  return answer.stdout;
}

export async function gitText(directory: string, args: readonly string[], more: GitInput = {}): Promise<string> {
  return (await git(directory, args, more)).toString().trim();
}

/** Makes an empty bare repository that serves any object it holds, as GitHub does. */
export async function createBareRepository(directory: string, defaultBranch: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await git(directory, ["init", "--quiet", "--bare", `--initial-branch=${defaultBranch}`]);
  await appendFile(join(directory, "config"), SERVER_CONFIGURATION);
}

export interface CommitRequest {
  readonly directory: string;
  readonly branch: string;
  /** The parent; undefined makes a root commit. */
  readonly parent: string | undefined;
  readonly files: Files;
  readonly message: string;
  readonly author: string;
  /** Epoch ms. */
  readonly at: number;
}

/** Puts one commit on a branch, moving it even when that is no fast-forward; returns the commit's id. */
export async function commitFiles(request: CommitRequest): Promise<string> {
  const ref = `refs/heads/${request.branch}`;
  const who = `${request.author} <${request.author}@users.noreply.example.com> ${Math.floor(request.at / 1000)} +0000`;
  const parts: (string | Uint8Array)[] = [`commit ${ref}\nauthor ${who}\ncommitter ${who}\n`, ...data(request.message)];
  if (request.parent !== undefined) {
    parts.push(`from ${request.parent}\n`);
  }
  for (const [path, file] of Object.entries(request.files)) {
    if (file === null) {
      parts.push(`D ${quoted(path)}\n`);
      continue;
    }
    const plain = typeof file === "string" || file instanceof Uint8Array;
    if (!plain && file.mode === "160000") {
      parts.push(`M 160000 ${file.content.toString()} ${quoted(path)}\n`);
      continue;
    }
    parts.push(`M ${plain ? "100644" : file.mode} inline ${quoted(path)}\n`, ...data(plain ? file : file.content));
  }
  const stream = Buffer.concat(parts.map((part) => Buffer.from(part)));
  await git(request.directory, ["fast-import", "--quiet", "--force", "--done"], {
    input: Buffer.concat([stream, Buffer.from("done\n")]),
  });
  return gitText(request.directory, ["rev-parse", ref]);
}

/** Copies one ref, with everything behind it, from another repository on this machine. */
export async function copyRef(request: { from: string; fromRef: string; to: string; toRef: string }): Promise<void> {
  await git(request.to, ["fetch", "--quiet", "--no-tags", request.from, `+${request.fromRef}:${request.toRef}`]);
}

/** The commit that a branch, tag, `heads/x`, `refs/x` or (short) object id names. */
export async function resolveCommit(directory: string, name: string): Promise<string | undefined> {
  const candidates = [`refs/heads/${name}`, `refs/tags/${name}`];
  if (/^(?:heads|tags|pull)\//.test(name)) {
    candidates.unshift(`refs/${name}`);
  }
  if (name.startsWith("refs/") || name === "HEAD" || /^[0-9a-f]{7,40}$/.test(name)) {
    candidates.push(name);
  }
  for (const candidate of candidates) {
    const answer = await tryGit(directory, [
      "rev-parse",
      "--verify",
      "--quiet",
      "--end-of-options",
      `${candidate}^{commit}`,
    ]);
    if (answer.code === 0) {
      return answer.stdout.toString().trim();
    }
  }
  return undefined;
}

/** The bytes of a file at a commit; undefined when there is none. */
export async function readFileAt(directory: string, commit: string, path: string): Promise<Buffer | undefined> {
  const answer = await tryGit(directory, ["cat-file", "blob", `${commit}:${path}`]);
  return answer.code === 0 ? answer.stdout : undefined;
}

function data(content: string | Uint8Array): (string | Uint8Array)[] {
  const bytes = Buffer.from(content);
  return [`data ${bytes.length}\n`, bytes, "\n"];
}

function quoted(path: string): string {
  const escaped = path.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  const bytes = escaped.replaceAll(/[\uDC80-\uDCFF]/gu, (one) => `\\${(one.charCodeAt(0) - 0xdc00).toString(8)}`);
  return `"${bytes}"`;
}
