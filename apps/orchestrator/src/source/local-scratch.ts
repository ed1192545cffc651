import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gitEnvironment } from "./git-environment.ts";
import { needGit, type PlanGit } from "./git-process.ts";
import type { Place } from "./local-place.ts";

/** A repository and an index of our own over a person's folder. */
export interface Scratch {
  /** Sees the person's objects beside our own. Must not store an object that could be among theirs. */
  readonly read: PlanGit;
  /** Sees our own objects alone: a git that stores an object it finds elsewhere would refresh the time of that file. */
  readonly write: PlanGit;
  readonly timeoutMs: number;
}

/** A person's own list of what to ignore. */
const EXCLUDE_BYTES_MAX = 1024 * 1024;
/** The same for everybody at any time, so that the same files have the same commit. */
const WHO = { NAME: "Mayfly", EMAIL: "mayfly@example.com", DATE: "@946684800 +0000" };

/** Makes it in the empty folder `path`. */
export async function createScratch(request: { path: string; place: Place; timeoutMs: number }): Promise<Scratch> {
  const { path, place, timeoutMs } = request;
  const { root, repository } = place;
  const env: Record<string, string> = { ...gitEnvironment({ protocol: null, credential: false }), GIT_DIR: path };
  for (const [name, value] of Object.entries(WHO)) {
    env[`GIT_AUTHOR_${name}`] = value;
    env[`GIT_COMMITTER_${name}`] = value;
  }
  const init = ["init", "--quiet", "--bare", "--template=", `--object-format=${repository?.format ?? "sha1"}`];
  await needGit("no scratch repository can be made", { command: "git", args: init, env, cwd: path }, { timeoutMs });
  const own = { ...env, GIT_WORK_TREE: root };
  if (repository !== null) {
    await copyExclude(repository.exclude, path);
  }
  const both = repository === null ? own : { ...own, GIT_ALTERNATE_OBJECT_DIRECTORIES: quotePath(repository.objects) };
  return {
    read: (args) => ({ command: "git", args, env: both, cwd: root }),
    write: (args) => ({ command: "git", args, env: own, cwd: root }),
    timeoutMs,
  };
}

/** A colon would end the path; git reads a quoted one to its closing quote. */
function quotePath(path: string): string {
  return `"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

async function copyExclude(from: string, scratch: string): Promise<void> {
  const found = await stat(from).catch(() => null);
  if (found === null || !found.isFile() || found.size > EXCLUDE_BYTES_MAX) {
    return;
  }
  await mkdir(join(scratch, "info"), { recursive: true });
  await writeFile(join(scratch, "info", "exclude"), await readFile(from));
}
