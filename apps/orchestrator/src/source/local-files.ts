import { constants } from "node:fs";
import { access, lstat } from "node:fs/promises";
import { AppError } from "@mayfly/core";

export interface FilesFound {
  /** Paths for git, as bytes: a name need not be UTF-8. Those that are gone are among them. */
  readonly paths: readonly Buffer[];
  /** Repositories inside the folder that are not part of it. */
  readonly nested: readonly string[];
  readonly bytes: number;
}

export interface SurveyRequest {
  readonly root: string;
  /** Relative to `root`, as `git ls-files -z` prints them. */
  readonly paths: readonly Buffer[];
  /** The largest pack. */
  readonly bytesMax: number;
  /** What was found before and counts as well. */
  readonly before?: FilesFound;
}

/** Source text packs to about a quarter; a folder that has more than this will not fit, and git would read all of it. */
const RAW_SIZE_FACTOR = 4;
/** A person fixes a few and tries again. */
const NAMES_SHOWN_MAX = 10;
const SLASH = 0x2f;

/**
 * Looks at every file before git reads any: throws INPUT_INVALID naming those that cannot be read, and SOURCE_TOO_BIG
 * when they are too much.
 */
export async function surveyFiles({ root, paths, bytesMax, before }: SurveyRequest): Promise<FilesFound> {
  const kept: Buffer[] = [];
  const nested: string[] = [];
  const unreadable: string[] = [];
  let bytes = before?.bytes ?? 0;
  for (const path of paths) {
    // git shows a repository that is not part of this one as a folder.
    if (path.at(-1) === SLASH) {
      nested.push(path.toString());
      continue;
    }
    const size = await readableSize(Buffer.concat([Buffer.from(`${root}/`), path]));
    if (size === null) {
      unreadable.push(path.toString());
    } else {
      bytes += size;
    }
    if (bytes > bytesMax * RAW_SIZE_FACTOR) {
      throw new AppError("SOURCE_TOO_BIG", `the folder has more than ${bytesMax * RAW_SIZE_FACTOR} bytes of files`);
    }
    kept.push(path);
  }
  if (unreadable.length > 0) {
    const names = unreadable.slice(0, NAMES_SHOWN_MAX).map((name) => JSON.stringify(name));
    const more = unreadable.length > names.length ? ` and ${unreadable.length - names.length} more` : "";
    throw new AppError("INPUT_INVALID", `cannot be read: ${names.join(", ")}${more}`);
  }
  return { paths: kept, nested, bytes };
}

/** The NUL-ended items of a list. */
export function splitNul(list: Buffer): Buffer[] {
  const items: Buffer[] = [];
  for (let at = 0; at < list.length;) {
    const end = list.indexOf(0, at);
    items.push(list.subarray(at, end < 0 ? list.length : end));
    at = end < 0 ? list.length : end + 1;
  }
  return items;
}

/** Bytes that git would read; null when it could not. What is gone, or is a folder now, has none. */
async function readableSize(path: Buffer): Promise<number | null> {
  try {
    const found = await lstat(path);
    if (found.isSymbolicLink() || found.isDirectory()) {
      return 0;
    }
    if (!found.isFile()) {
      return null;
    }
    await access(path, constants.R_OK);
    return found.size;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") {
      return 0;
    }
    return null;
  }
}
