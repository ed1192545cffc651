import { chmod, mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

import { AppError, type Brokers, type Digest, isDigest } from "@mayfly/core";

import { cachePaths, publishDir, readPointer, writePointer } from "./cache.ts";
import { canonicalJson, hashFile, sha256 } from "./digest.ts";
import { writeDisk } from "./disk.ts";
import { type BuildProgress, createReporter, ensureLayer, withWorkDir } from "./ensure-layer.ts";
import { digestScripts, packInitrd, readGuestScripts } from "./initrd.ts";
import { ec2CommandLine } from "./kernel-command-line.ts";
import { bootFiles } from "./layer.ts";
import { readLock } from "./lock.ts";
import { rootRecipeDigest } from "./recipe.ts";
import { markUsed } from "./uses.ts";

/** Raise it when code that writes a disk changes what comes out. */
const EDITION = 1;
const DISK = "disk.raw";

export interface EnsureEc2DiskOptions {
  /** See `defaultCacheDir`. */
  readonly cacheDir: string;
  /** The bundled agent. */
  readonly agentBundle: Uint8Array;
  /** Where the machines find their broker, as seen from their subnets. */
  readonly brokers: Brokers;
  /** The broker's key and the one that is to follow it. */
  readonly pins: readonly string[];
  /** The longest that any machine of this image may live: nothing outside is asked about it. Seconds. */
  readonly lifetimeSeconds: number;
  /** Another lock than this source's own. */
  readonly lockPath?: string | URL;
  /** Refuse an image that is not exactly what the lock says. */
  readonly frozen?: boolean;
  readonly onProgress?: (progress: BuildProgress) => void;
  readonly signal?: AbortSignal;
}

/** A raw disk. */
export interface Ec2Disk {
  /** In the cache: to be read, never written. */
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of all its bytes: what `fleet.ec2.image_digest` is set to. */
  readonly digest: Digest;
}

/**
 * Gives the disk that a machine on EC2 boots, for this source, this lock, this agent and these brokers: from the cache,
 * every byte looked at, or built from the layer that the machines in QEMU have too. The same input gives the same bytes. A build
 * that fails or is killed leaves nothing that is taken for a disk; two at once do no harm.
 *
 * @throws AppError TOOLS_MISSING, IMAGE_BUILD_FAILED; the signal's reason when aborted.
 */
export async function ensureEc2Disk(options: EnsureEc2DiskOptions): Promise<Ec2Disk> {
  const { cacheDir, agentBundle: agent, frozen = false } = options;
  const report = createReporter(options.onProgress);
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const lock = await readLock(options.lockPath);
  const scripts = await readGuestScripts("ec2");
  const commandLine = ec2CommandLine(options);
  const own = { edition: EDITION, scripts: digestScripts(scripts), agent: sha256(agent), commandLine };
  const paths = cachePaths(cacheDir);
  const key = sha256(canonicalJson({ ...own, recipe: rootRecipeDigest(), lock, frozen }));
  const pointer = paths.pointer("disk", key);
  const known = await readPointer(pointer);
  if (known !== null) {
    await markUsed(cacheDir, "disk", known);
  }
  const found = known === null ? null : await openDisk(paths.disk(known), known, options.signal);
  if (found !== null) {
    report("done", `The disk is there: ${found.digest}`);
    return found;
  }
  return withWorkDir(cacheDir, async (workDir) => {
    const layer = await ensureLayer({ cacheDir, workDir, lock, frozen, mistrustCache: true, report, ...signal });
    report("disk", "Writing the disk");
    const initrd = await packInitrd({ layerDir: layer.dir, platform: "ec2", scripts, agent });
    const files = bootFiles(layer);
    const [stub, kernel] = await Promise.all([readFile(files.stub), readFile(files.kernel)]);
    const from = join(workDir, "disk");
    await mkdir(from);
    await chmod(from, 0o755);
    await writeDisk(join(from, DISK), { stub, kernel, initrd, commandLine, root: files.root });
    await chmod(join(from, DISK), 0o444);
    const hex = await hashFile(join(from, DISK), signal);
    const dir = paths.disk(hex);
    await publishDir({ from, to: dir, isGood: async (place) => (await openDisk(place, hex)) !== null });
    const disk = await openDisk(dir, hex, options.signal);
    if (disk === null) {
      throw new AppError("IMAGE_BUILD_FAILED", `The new disk in ${dir} is not whole`);
    }
    await writePointer(pointer, hex);
    await markUsed(cacheDir, "disk", hex);
    report("done", `Built ${disk.digest}`);
    return disk;
  });
}

/** The disk in this folder, or null when it is not what its digest says. */
async function openDisk(dir: string, hex: string, signal?: AbortSignal): Promise<Ec2Disk | null> {
  const path = join(dir, DISK);
  const size = await stat(path).then(
    (found) => (found.isFile() ? found.size : null),
    () => null,
  );
  const digest = `sha256:${hex}`;
  if (size === null || !isDigest(digest) || (await hashFile(path, signal === undefined ? {} : { signal })) !== hex) {
    return null;
  }
  return { path, bytes: size, digest };
}
