import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";

/** A build left by another host's process is swept after this long: no build takes a day. */
const STRANGE_BUILD_MS = 24 * 60 * 60_000;

/**
 * Where images are kept when nobody says otherwise: outside the clone, since they are big and outlive it.
 *
 * @param options.xdgCacheHome The value of XDG_CACHE_HOME, if set and absolute.
 */
export function defaultCacheDir(options: { uid: number; home: string; xdgCacheHome?: string | undefined }): string {
  if (options.uid === 0) {
    return "/var/cache/mayfly";
  }
  const { xdgCacheHome } = options;
  return join(xdgCacheHome?.startsWith("/") === true ? xdgCacheHome : join(options.home, ".cache"), "mayfly");
}

/** The parts of an image cache. Keys and digests are hex. */
export function cachePaths(cacheDir: string): {
  layer: (key: string) => string;
  image: (digest: string) => string;
  disk: (digest: string) => string;
  pointer: (kind: "layer" | "image" | "disk", key: string) => string;
  work: string;
  /** Who uses what, by empty files' names. */
  uses: string;
} {
  return {
    layer: (key) => join(cacheDir, "layers", key),
    image: (digest) => join(cacheDir, "images", digest),
    disk: (digest) => join(cacheDir, "disks", digest),
    pointer: (kind, key) => join(cacheDir, "pointers", `${kind}-${key}`),
    work: join(cacheDir, "work"),
    uses: join(cacheDir, "uses"),
  };
}

/** A pointer's target (hex), or null when there is none. */
export async function readPointer(path: string): Promise<string | null> {
  const text = await readFile(path, "utf8").catch(() => "");
  return /^[0-9a-f]{64}\n$/.test(text) ? text.trim() : null;
}

/** Sets a pointer in one step: a reader sees the old target or the new one. */
export async function writePointer(path: string, target: string): Promise<void> {
  await makeDir(dirname(path));
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  await writeFile(draft, `${target}\n`);
  await chmod(draft, 0o644);
  await rename(draft, path);
}

/** Creates a folder that everyone may read: machines run under other uids. */
export async function makeDir(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) {
    return;
  }
  for (let dir = path; dir.length >= first.length; dir = dirname(dir)) {
    await chmod(dir, 0o755);
  }
}

/** A folder for one build, inside the cache so that its parts can be moved into place in one step. */
export async function makeWorkDir(cacheDir: string): Promise<string> {
  const { work } = cachePaths(cacheDir);
  await makeDir(cacheDir);
  await makeDir(work);
  const dir = join(work, `${hostname()}.${process.pid}.${randomBytes(6).toString("hex")}`);
  await mkdir(dir);
  await chmod(dir, 0o755);
  return dir;
}

/** Removes what builds left behind whose process has ended. Safe while other builds run. */
export async function sweepWorkDirs(cacheDir: string, now: number): Promise<void> {
  const { work } = cachePaths(cacheDir);
  for (const name of await readdir(work).catch(() => [])) {
    const dir = join(work, name);
    const [, host, pid] = /^(.+)\.(\d+)\.[0-9a-f]+$/.exec(name) ?? [];
    const isStale =
      host === hostname() && pid !== undefined ? !isAlive(Number(pid)) : await isOlderThan(dir, now - STRANGE_BUILD_MS);
    if (isStale) {
      // What cannot go yet (the killed build's tools are still ending) goes next time.
      await rm(dir, { recursive: true, force: true }).catch(() => {});
    }
  }
}

/**
 * Moves a finished folder into place. If another build was faster, its equal work stays and ours goes.
 *
 * @param isGood Whether what is in place already may stay.
 */
export async function publishDir(options: {
  from: string;
  to: string;
  isGood: (dir: string) => Promise<boolean>;
}): Promise<void> {
  const { from, to } = options;
  await makeDir(dirname(to));
  if (await exists(to)) {
    if (await options.isGood(to)) {
      await rm(from, { recursive: true, force: true });
      return;
    }
    await rename(to, `${from}.damaged`);
  }
  try {
    await rename(from, to);
  } catch (error) {
    if (!isTaken(error) || !(await options.isGood(to))) {
      throw error;
    }
    await rm(from, { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function isTaken(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOTEMPTY" || code === "EEXIST";
}

/** Whether there is a process of this id on this host. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Alive but somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function isOlderThan(path: string, moment: number): Promise<boolean> {
  return stat(path).then(
    (found) => found.mtimeMs < moment,
    () => false,
  );
}
