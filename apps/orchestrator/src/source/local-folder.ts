import { mkdir, mkdtemp, realpath, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AppError, limits, type SourceLayout } from "@mayfly/core";
import { commitFolder } from "./local-commits.ts";
import { findPlace, isWithin } from "./local-place.ts";
import { createScratch } from "./local-scratch.ts";
import { writePack } from "./pack.ts";

export interface FolderRequest {
  /** A folder of the person who asks. */
  readonly path: string;
  /** Where the pack is put; not within `path`. */
  readonly packFile: string;
  readonly bytesMax?: number;
  /** For each git command. */
  readonly timeoutMs?: number;
}

export interface FolderSnapshot {
  readonly packFile: string;
  readonly layout: SourceLayout;
  /** Files that differ from the last commit, or all files when there is none. */
  readonly changedFiles: number;
  /** Repositories inside the folder that are not part of it; their files are left out. */
  readonly nestedRepositories: readonly string[];
}

/**
 * A pack of a folder as it is now: tracked and untracked files, without what `.gitignore` ignores. In a git work tree
 * with a commit, `base` is what was committed and `head` follows it, so their difference is the uncommitted work;
 * otherwise `base` is null. Of a folder inside a work tree, only that folder is taken. The same files give the same
 * object ids at any time and for anybody.
 *
 * Nothing in the folder or its `.git` is written, and no configuration, hook, filter or monitor of it is obeyed. Throws
 * INPUT_INVALID (no folder, unreadable files, which are named), SOURCE_TOO_BIG, SOURCE_UNAVAILABLE.
 */
export async function snapshotFolder(request: FolderRequest): Promise<FolderSnapshot> {
  const { packFile, bytesMax = limits.sourceBytesMax, timeoutMs = limits.gitMs } = request;
  const folder = await resolveFolder(request.path);
  await mkdir(dirname(packFile), { recursive: true, mode: 0o700 });
  const beside = await realpath(dirname(packFile));
  if (isWithin(folder, beside)) {
    throw new AppError("INPUT_INVALID", `the state folder lies within ${request.path}: name another one with --state`);
  }
  const place = await findPlace(folder, timeoutMs);
  const path = await mkdtemp(join(beside, `${basename(packFile)}-`));
  try {
    const scratch = await createScratch({ path, place, timeoutMs });
    const { head, base, changedFiles, nestedRepositories } = await commitFolder(scratch, { place, bytesMax });
    const commits = base === null ? [head] : [head, base];
    const pack = await writePack({ git: scratch.read, commits, file: packFile, bytesMax, timeoutMs });
    const { shallow, bytes: pack_bytes, sha256: pack_sha256 } = pack;
    const layout = { head, base, merge_base: base, shallow, pack_bytes, pack_sha256 };
    return { packFile, layout, changedFiles, nestedRepositories };
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

async function resolveFolder(path: string): Promise<string> {
  const folder = await realpath(path).catch((cause: unknown) => {
    throw new AppError("INPUT_INVALID", `${path} cannot be read`, { cause });
  });
  if (!(await stat(folder)).isDirectory()) {
    throw new AppError("INPUT_INVALID", `${path} is not a folder`);
  }
  return folder;
}
