import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What everything in one cgroup may use together. */
export interface CgroupLimits {
  readonly pidsMax: number;
  readonly memoryBytesMax: number;
}

/** A named group of processes: the only handle that no child, however detached, escapes. */
export interface Cgroup {
  readonly name: string;
  /** Its folder, for joining it. */
  readonly path: string;
  /** Kills all in it, however often they fork, and waits until none is left. Idempotent. Throws if some survive. */
  empty(): Promise<void>;
  /** Empties and removes it. Idempotent. */
  remove(): Promise<void>;
}

// A review starts a handful of processes, a test run some dozens; a fork bomb starts thousands.
const PIDS_MAX = 512;
// For the kernel, the agent and what it buffers: 16 MiB for each of 4 model requests and room to breathe.
const RESERVED_BYTES = 224 * 1024 * 1024;
// Codex itself fits into this; on a smaller machine the run fails by itself.
const MEMORY_BYTES_MIN = 192 * 1024 * 1024;
// The kernel needs milliseconds; a process in uninterruptible sleep needs its disk, and ours is RAM.
const EMPTY_MS = 10_000;
const POLL_MS = 10;

/** Limits for this machine: most of its memory. */
export function machineLimits(memoryBytes: number = totalmem()): CgroupLimits {
  return { pidsMax: PIDS_MAX, memoryBytesMax: Math.max(memoryBytes - RESERVED_BYTES, MEMORY_BYTES_MIN) };
}

/**
 * Makes a cgroup under `root` (a cgroup2 mount) with these limits, without swap and with an ordinary share of the
 * processor. Throws if a limit cannot be set: nothing runs unlimited.
 */
export async function createCgroup(root: string, name: string, limits: CgroupLimits): Promise<Cgroup> {
  const path = join(root, name);
  await writeFile(join(root, "cgroup.subtree_control"), "+cpu +memory +pids");
  await mkdir(path, { recursive: true });
  await writeFile(join(path, "pids.max"), String(limits.pidsMax));
  await writeFile(join(path, "memory.max"), String(limits.memoryBytesMax));
  await writeFile(join(path, "memory.swap.max"), "0");

  async function empty(): Promise<void> {
    await writeFile(join(path, "cgroup.kill"), "1").catch(unlessGone);
    const end = performance.now() + EMPTY_MS;
    while (await isPopulated()) {
      if (performance.now() > end) {
        throw new Error(`processes in ${name} survive their killing`);
      }
      await sleep(POLL_MS);
    }
  }

  async function isPopulated(): Promise<boolean> {
    const events = await readFile(join(path, "cgroup.events"), "utf8").catch(unlessGone);
    return events !== undefined && !/^populated 0$/m.test(events);
  }

  async function remove(): Promise<void> {
    await empty();
    await rmdir(path).catch(unlessGone);
  }

  return { name, path, empty, remove };
}

function unlessGone(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
    throw error;
  }
}
