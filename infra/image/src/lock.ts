import { readFile } from "node:fs/promises";

import { AppError } from "@mayfly/core";
import { z } from "zod";

/** A Debian package as it was installed. The pattern is Debian policy's; nothing else reaches a command line. */
export const debSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9+.-]{1,127}$/),
  version: z.string().regex(/^[0-9A-Za-z][0-9A-Za-z.+:~-]{0,127}$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

/** An npm package as it was fetched. */
export const npmSchema = z.strictObject({
  name: z.string().regex(/^(?:@[a-z0-9-]{1,64}\/)?[a-z0-9.-]{1,128}$/),
  version: z.string().regex(/^[0-9][0-9A-Za-z.+-]{0,127}$/),
  integrity: z.string().regex(/^sha512-[A-Za-z0-9+/]{86}==$/),
});

/** Packages of one image; a Debian minimum has about a hundred. */
const PACKAGES_MAX = 1000;

export const lockSchema = z.strictObject({
  schema: z.literal(1),
  /** The kernel's package, which is not installed but unpacked. */
  kernel: debSchema,
  /** The boot stub's package, likewise. */
  bootStub: debSchema,
  debs: z.array(debSchema).min(1).max(PACKAGES_MAX),
  npm: z.array(npmSchema).min(1).max(PACKAGES_MAX),
});

export type Deb = z.infer<typeof debSchema>;
export type NpmPackage = z.infer<typeof npmSchema>;
export type ImageLock = z.infer<typeof lockSchema>;

/** The lock that belongs to this source. */
export const lockPath = new URL("../image.lock.json", import.meta.url);

/**
 * Reads and checks a lock.
 *
 * @throws AppError IMAGE_BUILD_FAILED when it is missing or not a lock.
 */
export async function readLock(path: string | URL = lockPath): Promise<ImageLock> {
  try {
    return lockSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw new AppError("IMAGE_BUILD_FAILED", `The lock ${String(path)} cannot be read: ${String(cause)}`, { cause });
  }
}

/** A lock with its packages sorted by name, so that equal content is equal text. */
export function sortLock(lock: ImageLock): ImageLock {
  return { ...lock, debs: sortByName(lock.debs), npm: sortByName(lock.npm) };
}

/** A sorted lock's text, one key a line, so that a change reads well in review. */
export function formatLock(lock: ImageLock): string {
  return `${JSON.stringify(lock, null, 2)}\n`;
}

function sortByName<Item extends { name: string }>(items: readonly Item[]): Item[] {
  return items.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** A package that is not the locked one, with what was used instead. */
export interface Substitution {
  readonly name: string;
  /** The locked version, or null when the lock does not know the package. */
  readonly locked: string | null;
  /** The version used, or null when the package is no longer needed. */
  readonly used: string | null;
}

/** Compares what was used with the lock; equal name, version and hash is no substitution. */
export function compareWithLock(lock: ImageLock, used: ImageLock): Substitution[] {
  const locked = new Map([lock.bootStub, ...lock.debs, ...lock.npm].map((item) => [item.name, item]));
  const taken = new Map([used.bootStub, ...used.debs, ...used.npm].map((item) => [item.name, item]));
  const kernel =
    JSON.stringify(lock.kernel) === JSON.stringify(used.kernel)
      ? []
      : [{ name: lock.kernel.name, locked: lock.kernel.version, used: `${used.kernel.name} ${used.kernel.version}` }];
  const names = [...new Set([...locked.keys(), ...taken.keys()])].toSorted();
  const others = names
    .filter((name) => JSON.stringify(locked.get(name)) !== JSON.stringify(taken.get(name)))
    .map((name) => ({
      name,
      locked: locked.get(name)?.version ?? null,
      used: taken.get(name)?.version ?? null,
    }));
  return [...kernel, ...others];
}
