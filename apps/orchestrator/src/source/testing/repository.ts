import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import type { SourceLayout } from "@mayfly/core";

/** Content, or content with a mode such as 120000. */
export type Files = Readonly<Record<string, string | { readonly mode: string; readonly content: string }>>;

const ENVIRONMENT = {
  PATH: "/usr/local/bin:/usr/bin:/bin",
  HOME: "/nonexistent",
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_AUTHOR_NAME: "Ada",
  GIT_AUTHOR_EMAIL: "ada@example.com",
  GIT_COMMITTER_NAME: "Ada",
  GIT_COMMITTER_EMAIL: "ada@example.com",
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "safe.directory",
  GIT_CONFIG_VALUE_0: "*",
};

/** Runs an ordinary git, as a person or the machine would; throws with its words when it fails. */
export async function git(
  directory: string,
  args: readonly string[],
  input: string | Uint8Array = "",
): Promise<string> {
  const child = spawn("git", args, { cwd: directory, env: ENVIRONMENT });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [stdout, stderr, code] = await Promise.all([buffer(child.stdout), buffer(child.stderr), ended]);
  if (code !== 0) {
    throw new Error(`git ${args.join(" ")}: ${stderr.toString()}`);
  }
  return stdout.toString().trim();
}

/** Whether the repository has the object itself. */
export async function hasObject(directory: string, id: string): Promise<boolean> {
  return git(directory, ["cat-file", "-e", id]).then(
    () => true,
    () => false,
  );
}

/** A bare repository that serves any object it holds, as GitHub does. */
export async function createRepository(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await git(directory, ["init", "--quiet", "--bare", "--initial-branch=main", "--template="]);
  await git(directory, ["config", "uploadpack.allowAnySHA1InWant", "true"]);
}

/** Stores one commit whose tree is exactly `files`; moves no branch. */
export async function addCommit(directory: string, files: Files, parents: readonly string[] = []): Promise<string> {
  const [commit = ""] = await importCommits(directory, [commitText(files, parents)]);
  return commit;
}

/** Stores commits one upon the other, each with exactly those files; returns them oldest first. */
export async function addCommits(directory: string, contents: readonly Files[], parent: string): Promise<string[]> {
  return importCommits(
    directory,
    contents.map((files, at) => commitText(files, at === 0 ? [parent] : [])),
  );
}

const SCRATCH = "refs/heads/scratch";

async function importCommits(directory: string, commits: readonly string[]): Promise<string[]> {
  await git(directory, ["fast-import", "--quiet", "--force"], `reset ${SCRATCH}\n${commits.join("")}`);
  const made = await git(directory, ["rev-list", "--first-parent", `--max-count=${commits.length}`, SCRATCH]);
  await git(directory, ["update-ref", "-d", SCRATCH]);
  return made.split("\n").toReversed();
}

/** For fast-import. Without parents it follows the commit before it, if there is one. */
function commitText(files: Files, parents: readonly string[]): string {
  const message = Object.keys(files).join(" ");
  const lines = [`commit ${SCRATCH}`, "committer Ada <ada@example.com> 1700000000 +0000"];
  lines.push(`data ${Buffer.byteLength(message)}`, message);
  lines.push(...parents.map((parent, at) => `${at === 0 ? "from" : "merge"} ${parent}`), "deleteall");
  for (const [name, file] of Object.entries(files)) {
    const { mode, content } = typeof file === "string" ? { mode: "100644", content: file } : file;
    lines.push(`M ${mode} inline ${JSON.stringify(name)}`, `data ${Buffer.byteLength(content)}`, content);
  }
  return `${lines.join("\n")}\n`;
}

/** One entry of a tree that git itself would not make. */
export interface RawEntry {
  readonly mode: string;
  readonly name: string;
  readonly id: string;
}

/** Stores a commit of a tree that no check has looked at. */
export async function addRawCommit(directory: string, entries: readonly RawEntry[], parent: string): Promise<string> {
  const bytes = entries.flatMap(({ mode, name, id }) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(id, "hex")]);
  const store = ["hash-object", "-w", "--literally", "-t", "tree", "--stdin"];
  const tree = await git(directory, store, Buffer.concat(bytes));
  return git(directory, ["commit-tree", "-m", "raw", "-p", parent, tree]);
}

/** Unpacks source as the machine does. */
export async function unpack(folder: string, pack: Uint8Array, layout: SourceLayout): Promise<void> {
  await mkdir(folder, { recursive: true });
  await git(folder, ["init", "--quiet", "--template="]);
  await git(folder, ["index-pack", "--stdin"], pack);
  await writeFile(join(folder, ".git", "shallow"), layout.shallow.map((id) => `${id}\n`).join(""));
  await git(folder, ["update-ref", "refs/mayfly/head", layout.head]);
  for (const [name, id] of [["base", layout.base] as const, ["merge-base", layout.merge_base] as const]) {
    if (id !== null) {
      await git(folder, ["update-ref", `refs/mayfly/${name}`, id]);
    }
  }
  await git(folder, ["reset", "--quiet", "--hard", layout.head]);
}
