import { chmod, link, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { AppError } from "@mayfly/core";

import { cachePaths, publishDir, readPointer, writePointer } from "./cache.ts";
import { canonicalJson, sha256 } from "./digest.ts";
import {
  type BuildProgress,
  createReporter,
  currentUser,
  ensureLayer,
  type Report,
  withWorkDir,
} from "./ensure-layer.ts";
import { digestScripts, type GuestScripts, packInitrd, readGuestScripts } from "./initrd.ts";
import { kernelCommandLine } from "./kernel-command-line.ts";
import { buildLayer, type Layer, listSubstitutions } from "./layer.ts";
import { formatLock, type ImageLock, readLock, type Substitution } from "./lock.ts";
import type { Manifest } from "./manifest.ts";
import { rootRecipeDigest } from "./recipe.ts";
import { checkTools } from "./tools.ts";
import { markUsed } from "./uses.ts";
import { type Image, readImage, type Verification, verifyImage } from "./verify.ts";

export interface EnsureImageOptions {
  /** See `defaultCacheDir`. */
  readonly cacheDir: string;
  /** The bundled agent: its bytes, or the path of its file. */
  readonly agentBundle: Uint8Array | string;
  /** Another lock than this source's own. */
  readonly lockPath?: string | URL;
  /** Refuse an image that is not exactly what the lock says. */
  readonly frozen?: boolean;
  /** Check every byte of an image that is there already, and build a damaged one again. */
  readonly recheck?: boolean;
  readonly onProgress?: (progress: BuildProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * Gives the image for this source, this lock and this agent: from the cache within milliseconds, or built. A build that
 * fails or is killed leaves nothing that is taken for an image; two at once do no harm.
 *
 * @throws AppError TOOLS_MISSING, IMAGE_BUILD_FAILED; the signal's reason when aborted.
 */
export async function ensureImage(options: EnsureImageOptions): Promise<Image> {
  const { cacheDir, agentBundle } = options;
  const report = createReporter(options.onProgress);
  const agent = typeof agentBundle === "string" ? await readFile(agentBundle) : agentBundle;
  const request: Request = { agent, lock: await readLock(options.lockPath), scripts: await readGuestScripts("qemu") };
  const pointer = cachePaths(cacheDir).pointer("image", requestKey(request));
  const known = await readPointer(pointer);
  const dir = known === null ? null : cachePaths(cacheDir).image(known);
  if (dir !== null && known !== null) {
    // Before it is looked at: what is found stays while this process lives.
    await markUsed(cacheDir, "image", known);
    const found = await (options.recheck === true ? verifyImage(dir, options.signal) : readImage(dir));
    if (found.ok && (options.frozen !== true || found.image.manifest.substituted.length === 0)) {
      report("done", `The image is there: ${found.image.digest}`);
      return found.image;
    }
    if (!found.ok) {
      report("check", `The image is damaged and is built again: ${found.problems.join("; ")}`);
    }
  }
  const image = await withWorkDir(cacheDir, (workDir) =>
    build({ ...options, ...request, workDir, mistrustCache: dir !== null, report }),
  );
  const hex = image.digest.slice("sha256:".length);
  await writePointer(pointer, hex);
  await markUsed(cacheDir, "image", hex);
  report("done", `Built ${image.digest}`);
  return image;
}

/**
 * The image for this source, this lock and this agent if it was built: nothing is built or written.
 *
 * @returns Null where there is none; what is wrong with one that is damaged (its files' sizes, not their content).
 */
export async function findImage(options: {
  readonly cacheDir: string;
  readonly agentBundle: Uint8Array;
}): Promise<Verification | null> {
  const { cacheDir, agentBundle: agent } = options;
  const request: Request = { agent, lock: await readLock(), scripts: await readGuestScripts("qemu") };
  const known = await readPointer(cachePaths(cacheDir).pointer("image", requestKey(request)));
  return known === null ? null : readImage(cachePaths(cacheDir).image(known));
}

/**
 * Resolves the newest packages of the archive and writes them to a lock file. The layer it had to build for that stays
 * in the cache.
 *
 * @returns the new lock, and what it changes.
 */
export async function lockImage(options: {
  cacheDir: string;
  lockPath: string | URL;
  onProgress?: (progress: BuildProgress) => void;
  signal?: AbortSignal;
}): Promise<{ lock: ImageLock; changed: Substitution[] }> {
  const report = createReporter(options.onProgress);
  const before = await readLock(options.lockPath).catch(() => null);
  const layer = await withWorkDir(options.cacheDir, async (workDir) => {
    const user = currentUser();
    await checkTools(user);
    const { cacheDir, signal } = options;
    return buildLayer({ cacheDir, workDir, lock: null, isRoot: user.uid === 0, onStep: report, signal });
  });
  const lock = layer.record.used;
  await writeFile(options.lockPath, formatLock(lock));
  report("done", "The lock is written");
  return { lock, changed: before === null ? [] : listSubstitutions(layer, before) };
}

interface Request {
  readonly agent: Uint8Array;
  readonly lock: ImageLock;
  readonly scripts: GuestScripts;
}

function requestKey(request: Request): string {
  const { lock, scripts, agent } = request;
  return sha256(canonicalJson({ recipe: recipeDigest(scripts), lock, agent: sha256(agent) }));
}

/** The whole recipe: what shapes the root, and what shapes the start. */
function recipeDigest(scripts: GuestScripts): string {
  return sha256(canonicalJson([rootRecipeDigest(), digestScripts(scripts), commandLines()]));
}

function commandLines(): Manifest["kernelCommandLine"] {
  return { accelerated: kernelCommandLine({ emulated: false }), emulated: kernelCommandLine({ emulated: true }) };
}

async function build(
  options: EnsureImageOptions & Request & { workDir: string; mistrustCache: boolean; report: Report },
): Promise<Image> {
  const { cacheDir, workDir, lock, scripts, agent, report } = options;
  const layer = await ensureLayer(options);
  const substituted = listSubstitutions(layer, lock);
  report("initrd", "Packing the agent");
  const initrd = await packInitrd({ layerDir: layer.dir, platform: "qemu", scripts, agent });
  const { used, kernelRelease } = layer.record;
  const manifest: Manifest = {
    schema: 1,
    architecture: "x86_64",
    files: {
      vmlinux: layer.vmlinux,
      "root.erofs": layer.root,
      "initrd.cpio": { sha256: sha256(initrd), size: initrd.length },
    },
    kernelRelease,
    kernelCommandLine: commandLines(),
    recipe: recipeDigest(scripts),
    lock: sha256(canonicalJson(lock)),
    agent: sha256(agent),
    kernel: used.kernel,
    debs: used.debs,
    npm: used.npm,
    substituted,
  };
  const dir = await publishImage({ cacheDir, workDir, layer, initrd, manifest });
  const result = await readImage(dir);
  if (!result.ok) {
    throw new AppError("IMAGE_BUILD_FAILED", `The new image is not whole: ${result.problems.join("; ")}`);
  }
  return result.image;
}

async function publishImage(options: {
  cacheDir: string;
  workDir: string;
  layer: Layer;
  initrd: Uint8Array;
  manifest: Manifest;
}): Promise<string> {
  const { layer, workDir } = options;
  const text = canonicalJson(options.manifest);
  const out = join(workDir, "image");
  await mkdir(out);
  await chmod(out, 0o755);
  await link(join(layer.dir, "vmlinux"), join(out, "vmlinux"));
  await link(join(layer.dir, "root.erofs"), join(out, "root.erofs"));
  for (const [name, data] of [
    ["initrd.cpio", options.initrd],
    ["manifest.json", text],
  ] as const) {
    await writeFile(join(out, name), data);
    await chmod(join(out, name), 0o444);
  }
  const dir = cachePaths(options.cacheDir).image(sha256(text));
  await publishDir({ from: out, to: dir, isGood: (place) => isMadeOf(place, options) });
  return dir;
}

/** Whether the image in place is made of this very layer and initrd: others built it while we did, or before. */
async function isMadeOf(dir: string, parts: { layer: Layer; initrd: Uint8Array }): Promise<boolean> {
  if (!(await readImage(dir)).ok) {
    return false;
  }
  const initrd = await readFile(join(dir, "initrd.cpio"));
  const shared = await Promise.all(
    ["vmlinux", "root.erofs"].map((name) => isOneFile(join(dir, name), join(parts.layer.dir, name))),
  );
  return initrd.equals(parts.initrd) && !shared.includes(false);
}

async function isOneFile(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([stat(a), stat(b)]);
  return first.dev === second.dev && first.ino === second.ino;
}
