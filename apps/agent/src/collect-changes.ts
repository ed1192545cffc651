import { limits } from "@mayfly/core/limits";
import type { Changes } from "@mayfly/core/result";
import type { ProgramEnd } from "./confinement.ts";

/** Runs git as Codex's user on an index that has the work tree in it. */
type RunGit = (args: readonly string[], stdoutBytesMax: number, stdin?: string) => Promise<ProgramEnd>;

interface RawChange {
  readonly path: string;
  readonly base: string | null;
  readonly mode: string | null;
  readonly blob: string | null;
}

// Modes, two ids, a letter and a path for each file.
const RAW_BYTES_MAX = limits.patchFilesMax * 5_000;
// An id, a type and a size before each blob.
const BLOB_HEAD_BYTES_MAX = 128;
const NO_MODE = "000000";
const GITLINK = "160000";

/**
 * The files that differ from the head, with their bytes as git would commit them. Git runs where hostile code could write,
 * so nothing it says is more than a claim: whoever publishes a patch checks each file against GitHub.
 */
export async function readChanges(git: RunGit, head: string): Promise<Changes> {
  const raw = await git(
    ["diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", head, "--"],
    RAW_BYTES_MAX,
  );
  const changes = raw.exitCode === 0 && raw.cut === null ? parseRaw(raw.stdout) : null;
  if (changes === null || changes === "not_utf8") {
    return withheld(raw.cut === "size" ? "too_big" : (changes ?? "unreadable"));
  }
  if (changes.length > limits.patchFilesMax) {
    return withheld("too_big");
  }
  const blobs = changes.flatMap(({ blob }) => blob ?? []);
  const bytesMax = limits.patchFilesBytesMax + blobs.length * BLOB_HEAD_BYTES_MAX;
  const batch =
    blobs.length === 0 ? null : await git(["cat-file", "--batch"], bytesMax, blobs.map((blob) => `${blob}\n`).join(""));
  if (batch !== null && (batch.exitCode !== 0 || batch.cut !== null)) {
    return withheld(batch.cut === "size" ? "too_big" : "unreadable");
  }
  const contents = parseBatch(batch?.stdout ?? Buffer.alloc(0), blobs);
  if (contents === null) {
    return withheld("unreadable");
  }
  const files = changes.map(({ path, base, mode, blob }) => {
    return { path, base, mode, content: blob === null ? null : (contents.shift()?.toString("base64") ?? "") };
  });
  return { state: "present", files };
}

/** What `git diff-index --raw -z` says; null if it is not that. */
export function parseRaw(stdout: Buffer): RawChange[] | "not_utf8" | null {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(stdout);
  } catch {
    return "not_utf8";
  }
  const fields = text.split("\0");
  if (fields.pop() !== "" || fields.length % 2 !== 0) {
    return null;
  }
  const changes: RawChange[] = [];
  for (let index = 0; index < fields.length; index += 2) {
    const [head = "", path = ""] = fields.slice(index, index + 2);
    const match = /^:([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) [A-Z]$/.exec(head);
    if (match === null) {
      return null;
    }
    const [, before, after, base = "", blob = ""] = match;
    const isGone = after === NO_MODE;
    changes.push({
      path,
      base: before === NO_MODE ? null : base,
      mode: isGone ? null : (after ?? null),
      blob: isGone || after === GITLINK ? null : blob,
    });
  }
  return changes;
}

/** What `git cat-file --batch` says when asked for these blobs, one after the other; null if it is not that. */
export function parseBatch(stdout: Buffer, blobs: readonly string[]): Buffer[] | null {
  const contents: Buffer[] = [];
  let at = 0;
  for (const blob of blobs) {
    const lineEnd = stdout.indexOf("\n", at);
    const match = /^([0-9a-f]+) blob (\d{1,10})$/.exec(stdout.toString("latin1", at, Math.max(lineEnd, at)));
    const size = Number(match?.[2] ?? "NaN");
    const end = lineEnd + 1 + size;
    if (match?.[1] !== blob || stdout[end] !== 0x0a) {
      return null;
    }
    contents.push(stdout.subarray(lineEnd + 1, end));
    at = end + 1;
  }
  return at === stdout.length ? contents : null;
}

function withheld(why: Extract<Changes, { state: "withheld" }>["why"]): Changes {
  return { state: "withheld", why };
}
