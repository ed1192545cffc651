import { AppError } from "@mayfly/core";
import { askGit, needGit } from "./git-process.ts";
import { splitNul, surveyFiles, type FilesFound } from "./local-files.ts";
import type { Place } from "./local-place.ts";
import type { Scratch } from "./local-scratch.ts";

export interface FolderCommits {
  readonly head: string;
  readonly base: string | null;
  readonly changedFiles: number;
  readonly nestedRepositories: readonly string[];
}

/** Names of files: 128 bytes each for half a million files. */
const LIST_BYTES_MAX = 64 * 1024 * 1024;
const NUL = Buffer.from([0]);

/** Commits what was committed last, if anything was, and upon it the folder as it is. Throws as `snapshotFolder` does. */
export async function commitFolder(
  scratch: Scratch,
  { place, bytesMax }: { place: Place; bytesMax: number },
): Promise<FolderCommits> {
  if (place.head !== null) {
    await needGit("the last commit cannot be read", scratch.read(["read-tree", place.head]), scratch);
  }
  const survey = async (which: string[], before?: FilesFound) => {
    const paths = await listFiles(scratch, [...which, ...(place.prefix === "" ? [] : ["--", place.prefix])]);
    return surveyFiles({ root: place.root, paths, bytesMax, ...(before === undefined ? {} : { before }) });
  };
  // First what was tracked: a file that became a folder must be gone from the index before the folder's files come.
  const tracked = await survey(["--cached"]);
  await storeFiles(scratch, tracked.paths);
  const others = await survey(["--others", "--exclude-standard"], tracked);
  await storeFiles(scratch, others.paths);

  // The objects of what did not change are the person's.
  const whole = await answerOf(scratch, "write", ["write-tree", "--missing-ok"]);
  const base = place.head === null ? null : await commit(scratch, { place, whole: place.head, parent: null });
  const head = await commit(scratch, { place, whole, parent: base });
  return { head, base, changedFiles: await countChanges(scratch, { head, base }), nestedRepositories: others.nested };
}

async function listFiles(scratch: Scratch, args: readonly string[]): Promise<Buffer[]> {
  const { timeoutMs } = scratch;
  const answer = await askGit(scratch.read(["ls-files", "-z", ...args]), { timeoutMs, stdoutBytesMax: LIST_BYTES_MAX });
  // An unreadable folder or .gitignore is only a warning to git; here it would be a file that silently is not there.
  if (answer.code !== 0 || answer.stderr !== "") {
    throw new AppError("INPUT_INVALID", `files cannot be listed: ${answer.stderr || "git did not end in time"}`);
  }
  return splitNul(answer.stdout);
}

/** Stores these files, and forgets those of them that are gone. No filter is configured, so none runs. */
async function storeFiles({ write, timeoutMs }: Scratch, paths: readonly Buffer[]): Promise<void> {
  const input = Buffer.concat(paths.flatMap((path) => [path, NUL]));
  const args = ["update-index", "-z", "--add", "--remove", "--replace", "--stdin"];
  const answer = await askGit(write(args), { timeoutMs, input });
  if (answer.code !== 0) {
    throw new AppError("INPUT_INVALID", `files cannot be read: ${answer.stderr || "git did not end in time"}`);
  }
}

interface CommitRequest {
  readonly place: Place;
  /** A tree or commit of the whole work tree. */
  readonly whole: string;
  readonly parent: string | null;
}

async function commit(scratch: Scratch, { place, whole, parent }: CommitRequest): Promise<string> {
  const tree = await treeOfFolder(scratch, place.prefix, whole);
  const parents = parent === null ? [] : ["-p", parent];
  return answerOf(scratch, "read", ["commit-tree", "-m", "A folder as it was given", ...parents, tree]);
}

/** The tree of the folder within the whole; an empty one when it is not there. */
async function treeOfFolder(scratch: Scratch, prefix: string, whole: string): Promise<string> {
  if (prefix === "") {
    return answerOf(scratch, "read", ["rev-parse", "--verify", "--end-of-options", `${whole}^{tree}`]);
  }
  const entry = await answerOf(scratch, "read", ["ls-tree", "-d", "-z", "--full-tree", whole, "--", prefix]);
  const tree = /^040000 tree ([0-9a-f]{40,64})\t/.exec(entry)?.[1];
  return tree ?? answerOf(scratch, "write", ["mktree"]);
}

async function countChanges(scratch: Scratch, { head, base }: { head: string; base: string | null }): Promise<number> {
  const args =
    base === null
      ? ["ls-tree", "-r", "-z", "--name-only", head]
      : ["diff-tree", "-r", "-z", "--no-renames", "--name-only", base, head];
  const { timeoutMs } = scratch;
  const options = { timeoutMs, stdoutBytesMax: LIST_BYTES_MAX };
  return splitNul(await needGit("the changes cannot be counted", scratch.read(args), options)).length;
}

async function answerOf(scratch: Scratch, how: "read" | "write", args: readonly string[]): Promise<string> {
  const { timeoutMs } = scratch;
  return (await needGit("the folder cannot be stored", scratch[how](args), { timeoutMs })).toString().trim();
}
