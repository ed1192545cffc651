import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";

import { AppError } from "@mayfly/core";

import { hashFile } from "./digest.ts";
import { type ImageLock, type NpmPackage, npmSchema } from "./lock.ts";
import { runTool } from "./run-tool.ts";

/** The biggest package is 170 MB: a slow line takes its time. */
const FETCH_MS = 20 * 60_000;

/**
 * Fetches one package with the ordinary npm client, running none of its scripts, and compares it with the lock.
 *
 * @param options.lock null accepts what the registry gives (a new lock is being written).
 * @returns the tarball's path and its identity.
 * @throws AppError IMAGE_BUILD_FAILED when it cannot be fetched or is not what the lock says.
 */
export async function fetchNpmPackage(options: {
  name: string;
  version: string;
  workDir: string;
  lock: ImageLock | null;
  signal?: AbortSignal | undefined;
}): Promise<{ tarball: string; identity: NpmPackage }> {
  const { name, version, lock } = options;
  const dir = join(options.workDir, `npm-${name.replaceAll(/[^a-z0-9-]/g, "-")}`);
  await mkdir(dir);
  await runTool({
    command: "npm",
    args: ["pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", dir, `${name}@${version}`],
    cwd: dir,
    timeoutMs: FETCH_MS,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const file = (await readdir(dir)).find((entry) => entry.endsWith(".tgz"));
  if (file === undefined) {
    throw new AppError("IMAGE_BUILD_FAILED", `npm pack brought no tarball of ${name}@${version}`);
  }
  const tarball = join(dir, file);
  const hash = await hashFile(tarball, { algorithm: "sha512", encoding: "base64" });
  const identity = npmSchema.parse({ name, version, integrity: `sha512-${hash}` });
  const locked = lock?.npm.find((item) => item.name === name && item.version === version);
  if (lock !== null && locked?.integrity !== identity.integrity) {
    throw new AppError(
      "IMAGE_BUILD_FAILED",
      `${name}@${version} is not what the lock says: ${identity.integrity} instead of ${locked?.integrity ?? "nothing"}`,
    );
  }
  return { tarball, identity };
}
