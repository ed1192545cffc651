import { readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";

import { AppError, type Digest, isDigest } from "@mayfly/core";

import { hashFile, sha256 } from "./digest.ts";
import { imageFiles, type Manifest, manifestSchema } from "./manifest.ts";

/** What a machine boots. */
export interface Image {
  readonly digest: Digest;
  readonly dir: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly root: string;
  readonly manifest: Manifest;
}

export type Verification =
  | { readonly ok: true; readonly image: Image }
  | { readonly ok: false; readonly problems: string[] };

/** A manifest lists a hundred packages in 30 KB. */
const MANIFEST_BYTES_MAX = 1024 * 1024;

/**
 * Checks an image against its manifest: the digest and every byte of its files. Takes seconds (700 MB).
 *
 * @returns the image, or all that is wrong with it.
 */
export async function verifyImage(dir: string, signal?: AbortSignal): Promise<Verification> {
  const read = await readImage(dir);
  if (!read.ok) {
    return read;
  }
  const problems: string[] = [];
  for (const name of imageFiles) {
    const found = await hashFile(join(dir, name), signal === undefined ? {} : { signal });
    if (found !== read.image.manifest.files[name].sha256) {
      problems.push(`${name} has changed: its hash is ${found}`);
    }
  }
  return problems.length === 0 ? read : { ok: false, problems };
}

/** Reads an image and checks its digest and its files' sizes, not their content: milliseconds. */
export async function readImage(dir: string): Promise<Verification> {
  const text = await readManifestText(dir);
  if (text === null) {
    return { ok: false, problems: [`${join(dir, "manifest.json")} cannot be read`] };
  }
  const manifest = parseManifest(text);
  if (manifest === null) {
    return { ok: false, problems: ["manifest.json is not a manifest"] };
  }
  const hex = sha256(text);
  const digest = `sha256:${hex}`;
  const problems = basename(dir) === hex ? [] : [`manifest.json has changed: its digest is ${digest}`];
  for (const name of imageFiles) {
    const size = await stat(join(dir, name)).then(
      (found) => (found.isFile() ? found.size : null),
      () => null,
    );
    if (size !== manifest.files[name].size) {
      problems.push(size === null ? `${name} is missing` : `${name} has ${size} bytes`);
    }
  }
  if (problems.length > 0 || !isDigest(digest)) {
    return { ok: false, problems };
  }
  const [kernel, initrd, root] = [join(dir, "vmlinux"), join(dir, "initrd.cpio"), join(dir, "root.erofs")];
  return { ok: true, image: { digest, dir, kernel, initrd, root, manifest } };
}

/**
 * What was checked in this process, by what `stat` says of the files: even a change whose time is set back is seen, by
 * the inode's own time of change.
 */
const checks = new Map<string, Promise<Verification>>();
/** An orchestrator knows a handful of images. */
const CHECKS_MAX = 100;
/** A build from the same layer adds a name to a shared file, which changes what `stat` says of it and not one byte. */
const CHECKS_OF_ONE_MAX = 5;

/**
 * Opens the image with this digest for a machine to boot. Every byte is checked once in a process, and again whenever a
 * file is no longer the one that was checked, up to five times in a row; callers at the same time share one check.
 *
 * @throws AppError IMAGE_INVALID with all that is wrong, or if the files change during every check.
 */
export async function openImage(dir: string, expected: Digest): Promise<Image> {
  for (let attempt = 0; attempt < CHECKS_OF_ONE_MAX; attempt += 1) {
    const key = await keyOf(dir);
    if (checks.size >= CHECKS_MAX) {
      checks.clear();
    }
    const check = checks.get(key) ?? verifyImage(dir);
    checks.set(key, check);
    const result = await check;
    if ((await keyOf(dir)) !== key) {
      checks.delete(key);
      continue;
    }
    if (!result.ok) {
      checks.delete(key);
      throw new AppError("IMAGE_INVALID", `The image in ${dir} is damaged: ${result.problems.join("; ")}`);
    }
    if (result.image.digest !== expected) {
      throw new AppError("IMAGE_INVALID", `The image in ${dir} is ${result.image.digest}, not ${expected}`);
    }
    return result.image;
  }
  throw new AppError(
    "IMAGE_INVALID",
    `The files of the image in ${dir} changed during each of ${CHECKS_OF_ONE_MAX} checks`,
  );
}

/** The folder and what `stat` says of the image's files. */
async function keyOf(dir: string): Promise<string> {
  return `${dir} ${await fingerprint(dir)}`;
}

async function fingerprint(dir: string): Promise<string | null> {
  try {
    const stats = await Promise.all(
      [...imageFiles, "manifest.json"].map((name) => stat(join(dir, name), { bigint: true })),
    );
    return stats.map(({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(":")).join(" ");
  } catch {
    return null;
  }
}

async function readManifestText(dir: string): Promise<string | null> {
  const path = join(dir, "manifest.json");
  try {
    return (await stat(path)).size > MANIFEST_BYTES_MAX ? null : await readFile(path, "utf8");
  } catch {
    return null;
  }
}

function parseManifest(text: string): Manifest | null {
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
