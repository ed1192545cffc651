import { execFileSync } from "node:child_process";
import type { FakeGitHub } from "../fakes/github/server.ts";
import type { PullView } from "../fakes/github/views.ts";
import type { DemoOptions } from "./options.ts";
import { change, files, pullRequest, taskFile } from "./repository.ts";

/** Who does what in the demo. Nobody real has these names. */
const OWNER = "example-org";
const AUTHOR = "author";
export const MAINTAINER = "maintainer";

/** Opens the demo's pull request in the stand-in: its own, or one from a local repository's branch. */
export async function openDemoPullRequest(github: FakeGitHub, options: DemoOptions): Promise<PullView> {
  const task = { [`.github/codex/labels/${options.label}.md`]: taskFile() };
  const from = options.repository;
  const base = from === null ? files : filesAt(from.path, baseOf(from));
  const name = from === null ? "shelf" : "local";
  const repo = await github.createRepository({ owner: OWNER, name, files: { ...base, ...task } });
  github.setRole(repo.fullName, AUTHOR, "write");
  github.setRole(repo.fullName, MAINTAINER, "maintain");
  const head = from === null ? change : filesAt(from.path, from.branch);
  return github.openPullRequest({
    repo: repo.fullName,
    title: from === null ? pullRequest.title : `${from.branch} of a local repository`,
    body: from === null ? pullRequest.body : "",
    author: AUTHOR,
    head: { files: head },
    branch: "proposed",
  });
}

/** What the branch grew from: where it left the repository's main branch, or its parent if it is that branch. */
function baseOf(from: { path: string; branch: string }): string {
  for (const main of ["origin/HEAD", "main", "master"]) {
    const found = tryGit(from.path, ["merge-base", main, from.branch]);
    if (found !== null && found !== tryGit(from.path, ["rev-parse", `${from.branch}^{commit}`])) {
      return found;
    }
  }
  return `${from.branch}~1`;
}

/** The text files of a commit: the stand-in's repositories are made of text. */
function filesAt(path: string, commit: string): Record<string, string> {
  const found: Record<string, string> = {};
  const names = git(path, ["ls-tree", "-r", "-z", "--name-only", "--end-of-options", commit]).split("\0");
  for (const name of names.filter((one) => one !== "")) {
    const text = git(path, ["cat-file", "blob", `${commit}:${name}`]);
    if (!text.includes("\0")) {
      found[name] = text;
    }
  }
  return found;
}

function tryGit(path: string, args: readonly string[]): string | null {
  try {
    return git(path, args).trim();
  } catch {
    return null;
  }
}

function git(path: string, args: readonly string[]): string {
  return execFileSync("git", ["-c", "safe.directory=*", "-C", path, ...args], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    stdio: ["ignore", "pipe", "pipe"],
  });
}
