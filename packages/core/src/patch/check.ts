import { limits } from "../limits.ts";
import { bytesOf, type Change } from "./change.ts";
import { diffLines, type DiffLine } from "./line-diff.ts";
import { foldPath, refusePath } from "./path.ts";
import { isProtected } from "./protected.ts";

/** Lines that went or came: more than a person reads before they apply it. */
const LINES_MAX = 4_000;
const DELETIONS_MAX = 50;
const NUL = 0;
/** How a file begins whose contents lie somewhere else (Git LFS). */
const LFS_POINTER = "version https://git-lfs.github.com/spec/";

/** Why a patch is refused. Codes are stable. */
export const patchRefusals = {
  E_FRAME: "The machine did not return the changed files in the form that was asked for.",
  E_PATH: "A path could mean another file elsewhere, or does not look like what it is.",
  E_PROTECTED: "The file decides what runs by itself, what is fetched, or what machines are told.",
  E_BASE: "What the machine says it changed is not what stands at the approved commit.",
  E_MODE: "Links, submodules, changed modes, large-file pointers and files that are not text are not part of patches.",
  E_SIZE: "At most 100 files, 50 deletions, 4,000 changed lines, 1 MiB a file and 4 MiB in all.",
} as const satisfies Record<string, string>;
export type PatchRefusal = keyof typeof patchRefusals;

/** What stands at the commit that the patch is for, as GitHub says it. */
export interface PatchBase {
  /** Every entry that is no folder, by its path. */
  readonly entries: ReadonlyMap<string, { readonly mode: string; readonly sha: string }>;
  /** The bytes of the entries that the patch touches, by blob; one that is too big may be left out. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

/** A file of a patch that keeps every rule. */
export interface PatchFile {
  readonly path: string;
  readonly mode: "100644" | "100755";
  /** Null for one that is deleted. */
  readonly bytes: Uint8Array | null;
  readonly isNew: boolean;
  readonly lines: readonly DiffLine[];
}

export type PatchCheck =
  | { readonly ok: true; readonly files: readonly PatchFile[]; readonly added: number; readonly removed: number }
  | { readonly ok: false; readonly code: PatchRefusal; readonly path: string | null; readonly why: string };

type Refusal = PatchCheck & { readonly ok: false };

/**
 * Whether these changes may be put on a branch. One file that breaks a rule refuses them all. Pure: nothing the machine
 * says is believed, not even what it started from. A change that changes nothing is left out.
 *
 * @param allowed Protected paths that the operator gives free, as patterns.
 */
export function checkPatch(changes: readonly Change[], base: PatchBase, allowed: readonly string[]): PatchCheck {
  const refusal = refuseCounts(changes) ?? refusePaths(changes, base, allowed);
  if (refusal !== null) {
    return refusal;
  }
  const files: PatchFile[] = [];
  let bytes = 0;
  for (const change of changes) {
    const file = readFile(change, base);
    if (!("lines" in file)) {
      return file;
    }
    bytes += file.bytes?.length ?? 0;
    files.push(file);
  }
  if (bytes > limits.patchFilesBytesMax) {
    return refuse("E_SIZE", null, `the files have ${bytes} bytes together`);
  }
  const changed = files.filter(({ lines, isNew, bytes: now }) => isNew || now === null || count(lines) > 0);
  const added = changed.reduce((sum, { lines }) => sum + count(lines, "+"), 0);
  const removed = changed.reduce((sum, { lines }) => sum + count(lines, "-"), 0);
  return added + removed > LINES_MAX
    ? refuse("E_SIZE", null, `${added + removed} lines are changed`)
    : { ok: true, files: changed, added, removed };
}

function refuseCounts(changes: readonly Change[]): Refusal | null {
  if (changes.length > limits.patchFilesMax) {
    return refuse("E_SIZE", null, `${changes.length} files are changed`);
  }
  const deletions = changes.filter(({ mode }) => mode === null).length;
  return deletions > DELETIONS_MAX ? refuse("E_SIZE", null, `${deletions} files are deleted`) : null;
}

function refusePaths(changes: readonly Change[], base: PatchBase, allowed: readonly string[]): Refusal | null {
  const known = namesIn(base.entries.keys());
  const seen = new Set<string>();
  for (const { path } of changes) {
    const why = refusePath(path);
    if (why !== null) {
      return refuse("E_PATH", path, why);
    }
    if (isProtected(path, allowed)) {
      return refuse("E_PROTECTED", path, "it is protected");
    }
    if (seen.has(path)) {
      return refuse("E_FRAME", path, "it is there twice");
    }
    seen.add(path);
    const prefixes = prefixesOf(path);
    const twin = prefixes.find((prefix) => (known.get(foldPath(prefix)) ?? prefix) !== prefix);
    if (twin !== undefined) {
      return refuse("E_PATH", path, "it differs from another path only in how its letters are written");
    }
    prefixes.forEach((prefix) => known.set(foldPath(prefix), prefix));
    if (prefixes.slice(0, -1).some((prefix) => base.entries.has(prefix) || seen.has(prefix))) {
      return refuse("E_PATH", path, "something that is no folder is above it");
    }
  }
  return refuseFolders(changes, base);
}

/** A file in a folder's place would take away everything in it, unseen. */
function refuseFolders(changes: readonly Change[], base: PatchBase): Refusal | null {
  const folders = new Set<string>();
  for (const path of [...base.entries.keys(), ...changes.map((change) => change.path)]) {
    prefixesOf(path)
      .slice(0, -1)
      .forEach((folder) => folders.add(folder));
  }
  const file = changes.find(({ path }) => folders.has(path));
  return file === undefined ? null : refuse("E_PATH", file.path, "there is a folder of this name");
}

function readFile(change: Change, base: PatchBase): PatchFile | Refusal {
  const { path, mode, content } = change;
  const entry = base.entries.get(path) ?? null;
  if ((entry?.sha ?? null) !== change.base) {
    return refuse("E_BASE", path, entry === null ? "it is not there" : "it is another one there");
  }
  const present = entry?.mode ?? "100644";
  const isGone = mode === null;
  if (!isFileMode(present) || (!isGone && mode !== present)) {
    return refuse(
      "E_MODE",
      path,
      `its mode is ${isGone || !isFileMode(present) ? present : `${mode}, not ${present}`}`,
    );
  }
  if ((content === null) !== isGone || (isGone && entry === null)) {
    return refuse("E_FRAME", path, "its bytes and its mode do not belong together");
  }
  const before = entry === null ? new Uint8Array() : base.blobs.get(entry.sha);
  const after = content === null ? new Uint8Array() : bytesOf(content);
  if (after === null) {
    return refuse("E_FRAME", path, "its bytes are not base64");
  }
  if (before === undefined || Math.max(before.length, after.length) > limits.patchFileBytesMax) {
    return refuse("E_SIZE", path, "it is larger than 1 MiB");
  }
  const texts = [before, after].map(textOf);
  const [old, now] = texts;
  if (old === undefined || old === null || now === undefined || now === null) {
    return refuse("E_MODE", path, "it is not text in UTF-8, or points to contents that lie elsewhere");
  }
  return { path, mode: present, bytes: isGone ? null : after, isNew: entry === null, lines: diffLines(old, now) };
}

function isFileMode(mode: string): mode is PatchFile["mode"] {
  return mode === "100644" || mode === "100755";
}

/** Only what is text can be shown whole to whoever applies it. */
function textOf(bytes: Uint8Array): string | null {
  if (bytes.includes(NUL)) {
    return null;
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.startsWith(LFS_POINTER) ? null : text;
  } catch {
    return null;
  }
}

function namesIn(paths: Iterable<string>): Map<string, string> {
  const names = new Map<string, string>();
  for (const path of paths) {
    prefixesOf(path).forEach((prefix) => names.set(foldPath(prefix), prefix));
  }
  return names;
}

/** `a`, `a/b`, `a/b/c`. */
function prefixesOf(path: string): string[] {
  const parts = path.split("/");
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function count(lines: readonly DiffLine[], kind?: "+" | "-"): number {
  return lines.filter((line) => (kind === undefined ? line.kind !== " " : line.kind === kind)).length;
}

function refuse(code: PatchRefusal, path: string | null, why: string): Refusal {
  return { ok: false, code, path, why };
}
