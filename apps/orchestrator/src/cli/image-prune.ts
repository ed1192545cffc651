import { AppError } from "@mayfly/core";
import { pruneCache } from "@mayfly/image";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface ImagePruneFlags {
  readonly keep: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Nobody means more by it. */
const KEEP_MAX = 1_000;

/** `mayfly image prune`: removes all but the newest images, disks and layers from the cache, and none that is in use. */
export async function imagePrune(terminal: Terminal, flags: ImagePruneFlags): Promise<number> {
  const keep = Number(flags.keep);
  if (!/^\d{1,4}$/.test(flags.keep) || keep < 1 || keep > KEEP_MAX) {
    throw new AppError("INPUT_INVALID", `--keep ${flags.keep}: say how many of each kind stay, from 1 to ${KEEP_MAX}`);
  }
  const { cacheDir } = loadSettings(terminal, {});
  const dryRun = flags.dryRun === true;
  const removed = await pruneCache({ cacheDir, keep, dryRun, now: Date.now() }).catch((cause: unknown) => {
    throw new AppError("INPUT_INVALID", `the cache ${cacheDir} cannot be pruned: run it as the user it belongs to`, {
      cause,
    });
  });
  const bytes = removed.reduce((sum, one) => sum + one.bytes, 0);
  if (flags.json === true) {
    terminal.stdout(`${JSON.stringify({ dryRun, bytes, removed })}\n`);
    return 0;
  }
  for (const { kind, path } of removed) {
    terminal.stdout(`${kind}  ${path}\n`);
  }
  terminal.stderr(
    `${removed.length} ${dryRun ? "would be removed" : "removed"}, ${Math.round(bytes / 1024 ** 2)} MiB\n`,
  );
  return 0;
}
