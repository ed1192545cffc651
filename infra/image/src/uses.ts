import { readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";

import { cachePaths, isAlive, makeDir } from "./cache.ts";

/** What a cache holds by digest or key. */
export const kinds = ["image", "disk", "layer"] as const;
export type Kind = (typeof kinds)[number];

/**
 * Notes that this process uses something of the cache, for as long as it lives. What cannot be noted, in a cache that only
 * somebody else may write, is not: only they can prune it.
 */
export async function markUsed(cacheDir: string, kind: Kind, hex: string): Promise<void> {
  const { uses } = cachePaths(cacheDir);
  const now = new Date();
  try {
    await utimes(cachePaths(cacheDir)[kind](hex), now, now);
    await makeDir(uses);
    await writeFile(join(uses, `${hostname()}.${process.pid}.${kind}-${hex}`), "");
    // Those of processes that have ended go.
    await listUsed(cacheDir);
  } catch {
    // Nothing is lost by it but the order of use.
  }
}

/** What is marked, as `kind-hex`. A mark of a process of this host that has ended is removed. */
export async function listUsed(cacheDir: string): Promise<Set<string>> {
  const { uses } = cachePaths(cacheDir);
  const used = new Set<string>();
  for (const name of await readdir(uses).catch(() => [])) {
    const [, host, pid, thing] = /^(.+)\.(\d+)\.([a-z]+-[0-9a-f]{64})$/.exec(name) ?? [];
    if (thing === undefined || (host === hostname() && !isAlive(Number(pid)))) {
      await rm(join(uses, name), { force: true });
    } else {
      used.add(thing);
    }
  }
  return used;
}
