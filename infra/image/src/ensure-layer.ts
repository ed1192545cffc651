import { rm } from "node:fs/promises";
import { userInfo } from "node:os";

import { AppError } from "@mayfly/core";

import { makeWorkDir, sweepWorkDirs } from "./cache.ts";
import { buildLayer, findLayer, isIntact, type Layer, listSubstitutions } from "./layer.ts";
import type { ImageLock } from "./lock.ts";
import { checkTools } from "./tools.ts";
import { markUsed } from "./uses.ts";

export interface BuildProgress {
  /** A word for the stage: check, debian, node, codex, kernel, root, initrd, done. */
  readonly step: string;
  readonly message: string;
  readonly elapsedMs: number;
}

/** Tells how a build goes on. */
export type Report = (step: string, message: string) => void;

/**
 * Gives the layer of a lock: from the cache, or built.
 *
 * @param options.mistrustCache Look at every byte of one that is there.
 * @throws AppError TOOLS_MISSING, and IMAGE_BUILD_FAILED, also for a frozen one that is not as locked.
 */
export async function ensureLayer(options: {
  cacheDir: string;
  workDir: string;
  lock: ImageLock;
  frozen?: boolean;
  mistrustCache: boolean;
  report: Report;
  signal?: AbortSignal;
}): Promise<Layer> {
  const layer = await findOrBuild(options);
  const substituted = listSubstitutions(layer, options.lock);
  if (substituted.length > 0) {
    const list = substituted.map(({ name, locked, used }) => `${name} ${locked ?? "-"} → ${used ?? "-"}`).join(", ");
    if (options.frozen === true) {
      throw new AppError("IMAGE_BUILD_FAILED", `The archive no longer serves what the lock says: ${list}`);
    }
    options.report("check", `Not as locked, as the archive has moved on: ${list}`);
  }
  return layer;
}

async function findOrBuild(options: Parameters<typeof ensureLayer>[0]): Promise<Layer> {
  const { cacheDir, workDir, lock, report } = options;
  const known = await findLayer(cacheDir, lock);
  if (known !== null) {
    // Where the archive had moved on, it may by now serve what is locked.
    const isAsWanted = options.frozen !== true || listSubstitutions(known, lock).length === 0;
    // A damaged image shares its files with its layer.
    const isSound = !options.mistrustCache || (await isIntact(known, options.signal));
    if (isAsWanted && isSound) {
      await markUsed(cacheDir, "layer", known.key);
      return known;
    }
    if (!isSound) {
      await rm(known.dir, { recursive: true, force: true });
    }
  }
  report("check", "Looking for the tools");
  const user = currentUser();
  await checkTools(user);
  return buildLayer({ cacheDir, workDir, lock, isRoot: user.uid === 0, onStep: report, signal: options.signal });
}

/** Runs work in a folder of its own, which is gone afterwards whatever happens. */
export async function withWorkDir<Value>(cacheDir: string, work: (dir: string) => Promise<Value>): Promise<Value> {
  await sweepWorkDirs(cacheDir, Date.now());
  const dir = await makeWorkDir(cacheDir);
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Turns a listener into a report with times. */
export function createReporter(onProgress: ((progress: BuildProgress) => void) | undefined): Report {
  const start = performance.now();
  return (step, message) => onProgress?.({ step, message, elapsedMs: Math.round(performance.now() - start) });
}

/** A uid without an account (usual in containers) goes by its number. */
export function currentUser(): { uid: number; userName: string } {
  try {
    const { uid, username } = userInfo();
    return { uid, userName: username };
  } catch {
    const uid = process.geteuid?.() ?? -1;
    return { uid, userName: String(uid) };
  }
}
