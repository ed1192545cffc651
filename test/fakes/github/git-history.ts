/** Commits and differences of a bare repository, read through git. */
import { git, gitText, tryGit } from "./git-store.ts";

export interface CommitRecord {
  readonly sha: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Signature;
  readonly committer: Signature;
  readonly message: string;
}

export interface Signature {
  readonly name: string;
  readonly email: string;
  /** Epoch ms. */
  readonly at: number;
}

export interface FileChange {
  /** As text: what is not UTF-8 in it shows as U+FFFD. */
  readonly path: string;
  readonly previousPath: string | undefined;
  readonly status: "added" | "removed" | "modified" | "renamed" | "copied" | "changed";
  readonly blob: string;
  readonly additions: number;
  readonly deletions: number;
  /** Undefined for binary files. */
  readonly patch: string | undefined;
}

const COMMIT_FORMAT = "--format=%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%at%x1f%cn%x1f%ce%x1f%ct%x1f%B";
const EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

export async function readCommit(directory: string, sha: string): Promise<CommitRecord> {
  const [commit] = parseCommits(await git(directory, ["log", "-z", "-1", COMMIT_FORMAT, sha]));
  if (commit === undefined) {
    throw new Error(`no commit ${sha}`);
  }
  return commit;
}

/** The commits of `head` that `base` has not, oldest first. */
export async function commitsBetween(directory: string, base: string, head: string): Promise<CommitRecord[]> {
  return parseCommits(
    await git(directory, ["log", "-z", "--reverse", "--topo-order", COMMIT_FORMAT, `${base}..${head}`]),
  );
}

export async function countBetween(directory: string, base: string, head: string): Promise<number> {
  return Number(await gitText(directory, ["rev-list", "--count", `${base}..${head}`]));
}

export async function mergeBase(directory: string, one: string, other: string): Promise<string | undefined> {
  const answer = await tryGit(directory, ["merge-base", one, other]);
  return answer.code === 0 ? answer.stdout.toString().trim() : undefined;
}

/** What changed from `base` (undefined: from nothing) to `head`, with patches. */
export async function changesBetween(directory: string, base: string | undefined, head: string): Promise<FileChange[]> {
  const range = ["-M", base ?? EMPTY_TREE, head];
  const raw = (await git(directory, ["diff", "--raw", "--no-abbrev", "-z", ...range])).toString().split("\0");
  const patches = patchesOf((await git(directory, ["diff", "-p", "--no-color", ...range])).toString());
  const changes: FileChange[] = [];
  let patchAt = 0;
  for (let at = 0; at < raw.length;) {
    const fields = raw[at++]?.split(" ") ?? [];
    const [, , before = "", after = "", letter = ""] = fields;
    if (letter === "") {
      break;
    }
    const first = raw[at++] ?? "";
    const moved = letter.startsWith("R") || letter.startsWith("C");
    const path = moved ? (raw[at++] ?? "") : first;
    const patch = patches[patchAt];
    // A change of type, file to link, is shown as a removal and an addition.
    patchAt += letter.startsWith("T") ? 2 : 1;
    const lines = patch?.split("\n") ?? [];
    changes.push({
      path,
      previousPath: moved ? first : undefined,
      status: statusOf(letter),
      blob: letter === "D" ? before : after,
      additions: lines.filter((line) => line.startsWith("+")).length,
      deletions: lines.filter((line) => line.startsWith("-")).length,
      patch,
    });
  }
  return changes;
}

function statusOf(letter: string): FileChange["status"] {
  const names: Record<string, FileChange["status"]> = {
    A: "added",
    D: "removed",
    R: "renamed",
    C: "copied",
    T: "changed",
  };
  return names[letter.charAt(0)] ?? "modified";
}

/** One patch per file, in git's order, hunks only: no line of a hunk can start with "diff --git". */
function patchesOf(diff: string): (string | undefined)[] {
  if (diff === "") {
    return [];
  }
  return diff.split(/^(?=diff --git )/m).map((file) => {
    const hunks = file.search(/^@@ /m);
    return hunks < 0 ? undefined : file.slice(hunks).replace(/\n$/, "");
  });
}

function parseCommits(output: Buffer): CommitRecord[] {
  const records = output.toString().split("\0");
  return records.filter((record) => record !== "").map(parseCommit);
}

function parseCommit(record: string): CommitRecord {
  const [sha = "", tree = "", parents = "", an = "", ae = "", at = "", cn = "", ce = "", ct = "", ...body] =
    record.split("\x1f");
  return {
    sha,
    tree,
    parents: parents === "" ? [] : parents.split(" "),
    author: { name: an, email: ae, at: Number(at) * 1000 },
    committer: { name: cn, email: ce, at: Number(ct) * 1000 },
    message: body.join("\x1f").replace(/\n$/, ""),
  };
}
