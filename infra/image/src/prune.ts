import { lstat, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

import { cachePaths, readPointer } from "./cache.ts";
import { withWorkDir } from "./ensure-layer.ts";
import { type Kind, kinds, listUsed } from "./uses.ts";

const HEX = /^[0-9a-f]{64}$/;
/** What somebody has just found may not be marked yet. */
const YOUNG_MS = 10 * 60_000;

/** Something that was removed from a cache, or would be. */
export interface Pruned {
  readonly kind: Kind;
  /** Its folder. */
  readonly path: string;
  /** What its removal gives back, on the disk: a file that is kept elsewhere too gives nothing. */
  readonly bytes: number;
}

/**
 * Removes images, disks and layers but the newest of each kind by last use, those that a living process of this host
 * asked for, and those that another host asked for. A layer that goes costs building it again, and nothing else.
 * Safe while services and builds run.
 *
 * @param options.keep Of each kind, at least this many stay.
 */
export async function pruneCache(options: {
  cacheDir: string;
  keep: number;
  dryRun: boolean;
  now: number;
}): Promise<readonly Pruned[]> {
  const { cacheDir, dryRun } = options;
  return withWorkDir(cacheDir, async (workDir) => {
    const pruned: Pruned[] = [];
    for (const kind of kinds) {
      for (const { hex, path } of await listOld(kind, options)) {
        // Asked last, since a service may have started meanwhile.
        if ((await listUsed(cacheDir)).has(`${kind}-${hex}`)) {
          continue;
        }
        pruned.push({ kind, path, bytes: await bytesOf(path) });
        if (!dryRun) {
          await rename(path, join(workDir, `${kind}-${hex}`));
          await rm(join(workDir, `${kind}-${hex}`), { recursive: true, force: true });
        }
      }
    }
    if (!dryRun) {
      await removeLostPointers(cacheDir);
    }
    return pruned;
  });
}

async function listOld(
  kind: Kind,
  { cacheDir, keep, now }: { cacheDir: string; keep: number; now: number },
): Promise<{ hex: string; path: string }[]> {
  const paths = cachePaths(cacheDir);
  const names = (await readdir(join(paths[kind]("x"), "..")).catch(() => [])).filter((name) => HEX.test(name));
  const found = await Promise.all(
    names.map(async (hex) => ({ hex, path: paths[kind](hex), usedAt: (await lstat(paths[kind](hex))).mtimeMs })),
  );
  return found
    .toSorted((left, right) => right.usedAt - left.usedAt)
    .slice(keep)
    .filter(({ usedAt }) => usedAt < now - YOUNG_MS);
}

async function bytesOf(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    const found = entry.isFile() ? await lstat(join(entry.parentPath, entry.name)) : null;
    bytes += found === null || found.nlink > 1 ? 0 : found.blocks * 512;
  }
  return bytes;
}

async function removeLostPointers(cacheDir: string): Promise<void> {
  const paths = cachePaths(cacheDir);
  const dir = join(paths.pointer("image", "x"), "..");
  await mkdir(dir, { recursive: true });
  for (const name of await readdir(dir)) {
    const kind = kinds.find((known) => name.startsWith(`${known}-`));
    const target = kind === undefined ? null : await readPointer(join(dir, name));
    if (kind !== undefined && target !== null && !(await exists(paths[kind](target)))) {
      await rm(join(dir, name), { force: true });
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
