import { isAbsolute, relative } from "node:path";
import { gitEnvironment } from "./git-environment.ts";
import { askGit } from "./git-process.ts";

/** Where a folder stands in a work tree, if it stands in one. */
export interface Place {
  /** The root of the work tree, or the folder itself. */
  readonly root: string;
  /** The folder under that root, with `/`; empty for the root. */
  readonly prefix: string;
  /** Paths of the repository's object store and of its own list of ignored files, and its object format. */
  readonly repository: { readonly objects: string; readonly exclude: string; readonly format: string } | null;
  /** The last commit, or null. */
  readonly head: string | null;
}

/** Finds the repository and its last commit by `rev-parse`, which runs nothing that a repository names. */
export async function findPlace(folder: string, timeoutMs: number): Promise<Place> {
  const env = gitEnvironment({ protocol: null, credential: false });

  async function ask(...args: string[]): Promise<string | null> {
    const launch = { command: "git", args: ["rev-parse", "--path-format=absolute", ...args], env, cwd: folder };
    const answer = await askGit(launch, { timeoutMs });
    return answer.code === 0 ? answer.stdout.toString().replace(/\n$/, "") : null;
  }

  const root = await ask("--show-toplevel");
  const objects = await ask("--git-path", "objects");
  const exclude = await ask("--git-path", "info/exclude");
  const format = await ask("--show-object-format");
  if (!root || objects === null || exclude === null || format === null || !isWithin(root, folder)) {
    return { root: folder, prefix: "", repository: null, head: null };
  }
  return {
    root,
    prefix: relative(root, folder),
    repository: { objects, exclude, format },
    head: await ask("--verify", "--quiet", "--end-of-options", "HEAD^{commit}"),
  };
}

/** Whether `path` is `folder` or something below it; both absolute, without links. */
export function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith("../") && !isAbsolute(way);
}
