import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { z } from "zod";

import { cachePaths, publishDir, readPointer, writePointer } from "./cache.ts";
import { installDebian } from "./debian.ts";
import { canonicalJson, hashFile, sha256 } from "./digest.ts";
import { unpackKernel } from "./kernel.ts";
import { fileSchema, type ImageFile } from "./manifest.ts";
import { compareWithLock, type ImageLock, lockSchema, sortLock, type Substitution } from "./lock.ts";
import { fetchNpmPackage } from "./npm.ts";
import { layerModules, rootRecipe, rootRecipeDigest } from "./recipe.ts";
import { finishTree, packTree } from "./root-tree.ts";
import { runTool } from "./run-tool.ts";

const layerSchema = z.strictObject({
  schema: z.literal(1),
  recipe: z.string(),
  kernelRelease: z.string(),
  files: z.record(z.string(), fileSchema),
  used: lockSchema,
});

const ROOT = "root.erofs";
const KERNEL = "vmlinux";
const EFI_KERNEL = "vmlinuz";
const BOOT_STUB = "boot-stub.efi";
const BUSYBOX = "busybox";
/** Unpacking 300 KB. */
const STUB_MS = 60_000;
const RECORD = "root.json";

/** The part of an image that does not change with the agent: root, kernel, modules, busybox, boot stub. */
export interface Layer {
  readonly dir: string;
  /** Depends on the recipe and on what was really used, hex. */
  readonly key: string;
  readonly root: ImageFile;
  readonly vmlinux: ImageFile;
  readonly record: z.infer<typeof layerSchema>;
}

/** The layer that this lock led to last time, or null. */
export async function findLayer(cacheDir: string, lock: ImageLock): Promise<Layer | null> {
  const paths = cachePaths(cacheDir);
  const key = await readPointer(paths.pointer("layer", requestKey(lock)));
  return key === null ? null : openLayer(paths.layer(key));
}

/** Whether every byte of a layer is what it was when it was built. */
export async function isIntact(layer: Layer, signal?: AbortSignal): Promise<boolean> {
  const found = await describeFiles(layer.dir, signal).catch(() => ({}));
  return canonicalJson(found) === canonicalJson(layer.record.files);
}

/** Differences between a layer and the lock; empty when it holds exactly what the lock says. */
export function listSubstitutions(layer: Layer, lock: ImageLock): Substitution[] {
  return compareWithLock(lock, layer.record.used);
}

/**
 * Builds a layer and puts it into the cache under a key made of the recipe and of what was really used.
 *
 * @param options.lock null takes the newest of everything.
 */
export async function buildLayer(options: {
  cacheDir: string;
  workDir: string;
  lock: ImageLock | null;
  isRoot: boolean;
  onStep: (step: string, message: string) => void;
  signal?: AbortSignal | undefined;
}): Promise<Layer> {
  const { workDir, onStep, signal } = options;
  const paths = cachePaths(options.cacheDir);
  const out = join(workDir, "layer");
  await mkdir(out);

  const { debian, node, codex } = await fetchParts(options);
  onStep("kernel", `Unpacking ${debian.kernel.name}`);
  const kernelRelease = await unpackKernel({ deb: debian.kernelDeb, workDir, outDir: out, signal });
  await unpackBootStub({ deb: debian.bootStubDeb, workDir, file: join(out, BOOT_STUB), signal });
  onStep("root", "Laying out the root file system");
  await finishTree({ tree: debian.tree, nodeTarball: node.tarball, codexTarball: codex.tarball, signal });
  await copyFile(join(debian.tree, "usr/bin/busybox"), join(out, BUSYBOX));
  onStep("root", "Packing the root file system");
  await packTree(debian.tree, join(out, ROOT), signal);

  const record: Layer["record"] = {
    schema: 1,
    recipe: rootRecipeDigest(),
    kernelRelease,
    files: await describeFiles(out, signal),
    used: sortLock({
      schema: 1,
      kernel: debian.kernel,
      bootStub: debian.bootStub,
      debs: [...debian.debs],
      npm: [codex.identity, node.identity],
    }),
  };
  await writeFile(join(out, RECORD), `${canonicalJson(record)}\n`);
  await openPermissions(out);
  const key = keyOf(record);
  const dir = paths.layer(key);
  await publishDir({ from: out, to: dir, isGood: async (place) => (await openLayer(place)) !== null });
  for (const lock of options.lock === null ? [record.used] : [options.lock, record.used]) {
    await writePointer(paths.pointer("layer", requestKey(lock)), key);
  }
  return layerOf(dir, record);
}

/** What a disk is made of besides an initrd: the kernel as UEFI starts it, the boot stub, the root file system. */
export function bootFiles(layer: Layer): { kernel: string; stub: string; root: string } {
  return { kernel: join(layer.dir, EFI_KERNEL), stub: join(layer.dir, BOOT_STUB), root: join(layer.dir, ROOT) };
}

function layerOf(dir: string, record: Layer["record"]): Layer {
  return { dir, key: keyOf(record), root: fileOf(record, ROOT), vmlinux: fileOf(record, KERNEL), record };
}

function keyOf({ recipe, used }: Layer["record"]): string {
  return sha256(canonicalJson({ recipe, used }));
}

async function unpackBootStub(options: {
  deb: string;
  workDir: string;
  file: string;
  signal: AbortSignal | undefined;
}): Promise<void> {
  const dir = join(options.workDir, "boot-stub");
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  await runTool({ command: "dpkg-deb", args: ["-x", options.deb, dir], timeoutMs: STUB_MS, ...signal });
  await copyFile(join(dir, rootRecipe.bootStub.file), options.file);
}

/** Debian and npm are fetched at the same time; when one fails the others are stopped before this throws. */
async function fetchParts(options: Parameters<typeof buildLayer>[0]) {
  const { workDir, lock, isRoot, onStep } = options;
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  async function guard<Value>(step: string, done: string, work: Promise<Value>): Promise<Value> {
    try {
      const value = await work;
      onStep(step, done);
      return value;
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  }
  onStep("debian", "Installing Debian packages; fetching Node and Codex");
  const works = [
    guard("debian", "Debian packages are installed", installDebian({ workDir, lock, isRoot, signal })),
    guard("node", "Node is fetched", fetchNpmPackage({ ...rootRecipe.npm.node, workDir, lock, signal })),
    guard("codex", "Codex is fetched", fetchNpmPackage({ ...rootRecipe.npm.codex, workDir, lock, signal })),
  ] as const;
  // Nothing may still be writing to the folder when it is removed.
  await Promise.allSettled(works);
  stop.signal.throwIfAborted();
  const [debian, node, codex] = await Promise.all(works);
  return { debian, node, codex };
}

function requestKey(lock: ImageLock): string {
  return sha256(canonicalJson({ recipe: rootRecipeDigest(), lock }));
}

async function openLayer(dir: string): Promise<Layer | null> {
  try {
    const record = layerSchema.parse(JSON.parse(await readFile(join(dir, RECORD), "utf8")));
    for (const [name, { size }] of Object.entries(record.files)) {
      if ((await stat(join(dir, name))).size !== size) {
        return null;
      }
    }
    return layerOf(dir, record);
  } catch {
    // Whatever is wrong with it, a layer that cannot be read is built again.
    return null;
  }
}

function fileOf(record: Layer["record"], name: string): ImageFile {
  const file = record.files[name];
  assert(file !== undefined, `A layer holds ${name}`);
  return file;
}

async function describeFiles(dir: string, signal?: AbortSignal): Promise<Record<string, ImageFile>> {
  const modules = layerModules().map((module) => join("modules", basename(module)));
  const names = [ROOT, KERNEL, EFI_KERNEL, BOOT_STUB, BUSYBOX, ...modules];
  const files: Record<string, ImageFile> = {};
  for (const name of names) {
    const path = join(dir, name);
    const { size } = await stat(path);
    files[name] = { sha256: await hashFile(path, signal === undefined ? {} : { signal }), size };
  }
  return files;
}

async function openPermissions(dir: string): Promise<void> {
  await chmod(dir, 0o755);
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    await (entry.isDirectory() ? openPermissions(path) : chmod(path, 0o444));
  }
}
