import { createReadStream } from "node:fs";
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  AppError,
  isRunId,
  limits,
  SourceLayout,
  type PullRequestOrigin,
  type Repository,
  type Run,
  type RunId,
  type Sources,
} from "@mayfly/core";
import type { Logger } from "pino";
import type { Confine } from "../confine/confinement.ts";
import { createKeyedQueue } from "./keyed-queue.ts";
import { snapshotFolder } from "./local-folder.ts";
import { createMirrors, type Mirrors } from "./mirror.ts";
import { writePack } from "./pack.ts";
import { ensureSharedFolder } from "./shared-folder.ts";

/** What GitHub says a pull request consists of. */
interface PullRequestCommits {
  /** Object ids, oldest first. */
  readonly commits: readonly string[];
  /** Null for histories that have nothing in common. */
  readonly mergeBase: string | null;
  /** By the name it has now: git follows no redirect. */
  readonly repository: Repository;
}

export interface SourcesDeps {
  /** Where mirrors are. */
  readonly stateDir: string;
  /** Where packs are, for whichever broker is asked; absent for the same folder. */
  readonly sharedDir?: string;
  readonly confine: Confine;
  /** The first of MIRRORS_AT_ONCE subordinate uids for git alone. */
  readonly firstUidOffset: number;
  /** Removes a folder whose content belongs to subordinate uids. Idempotent. */
  readonly remove: (path: string) => Promise<void>;
  /** Where git finds the base repository: http or https, without credentials. */
  readonly gitUrl: (origin: PullRequestOrigin) => string;
  /** The commits of `base...head` as they were when the run was asked for. Throws GITHUB_UNAVAILABLE, GITHUB_REFUSED. */
  readonly listCommits: (origin: PullRequestOrigin) => Promise<PullRequestCommits>;
  /** Lends a token that can read that one repository, and takes it back. */
  readonly withReadToken: <T>(origin: PullRequestOrigin, use: (token: string) => Promise<T>) => Promise<T>;
  readonly log: Pick<Logger, "info">;
  /** Bytes of a pack; limits.sourceBytesMax unless the operator says less. */
  readonly bytesMax?: number;
  /** One git command; limits.gitMs. */
  readonly timeoutMs?: number;
}

export interface SourceKeeper extends Sources {
  /** Forgets a repository: its App is uninstalled. Idempotent. */
  ensureRepositoryRemoved(repositoryId: number): Promise<void>;
}

/** Fetches source outside any machine and keeps one pack per run, in `<sharedDir>/source/packs`. */
export function createSources(deps: SourcesDeps): SourceKeeper {
  const bytesMax = Math.min(deps.bytesMax ?? limits.sourceBytesMax, limits.sourceBytesMax);
  const settings = { ...deps, bytesMax, timeoutMs: deps.timeoutMs ?? limits.gitMs };
  const sharedDir = deps.sharedDir ?? deps.stateDir;
  const packs = packsOf(sharedDir);
  const mirrors = createMirrors({ ...settings, folder: join(deps.stateDir, "source", "mirrors") });
  const queue = createKeyedQueue<RunId>();

  return {
    ensurePacked(run) {
      const files = filesOf(packs, run.id);
      return queue.run(run.id, async () => {
        const stored = await readLayout(files);
        if (stored !== null) {
          return stored;
        }
        // The broker, which has the service's group, passes the one and reads the other.
        await ensureSharedFolder(join(packs, ".."), 0o710);
        await ensureSharedFolder(packs, 0o750);
        const layout = await packRun(settings, mirrors, { run, file: files.pack });
        await storeLayout(files, layout);
        deps.log.info({ run: run.id, bytes: layout.pack_bytes }, "source packed");
        return layout;
      });
    },
    openPack: createPackReader(sharedDir).openPack,
    async ensureDropped(run) {
      const files = filesOf(packs, run);
      await queue.run(run, async () => {
        await rm(files.layout, { force: true });
        await rm(files.pack, { force: true });
      });
    },
    ensureRepositoryRemoved: (repositoryId) => mirrors.ensureRemoved(repositoryId),
  };
}

/** Reads packs that are there: all that the broker needs of them. */
export function createPackReader(sharedDir: string): Pick<Sources, "openPack"> {
  return {
    async openPack(run) {
      const files = filesOf(packsOf(sharedDir), run);
      if ((await readLayout(files)) === null) {
        throw new AppError("NOT_FOUND", "no source is packed for this run");
      }
      return createReadStream(files.pack) as AsyncIterable<Uint8Array>;
    },
  };
}

function packsOf(sharedDir: string): string {
  return join(sharedDir, "source", "packs");
}

type Settings = SourcesDeps & { readonly bytesMax: number; readonly timeoutMs: number };

async function packRun(
  settings: Settings,
  mirrors: Mirrors,
  { run, file }: { run: Run; file: string },
): Promise<SourceLayout> {
  const { bytesMax, timeoutMs } = settings;
  const { origin } = run.request;
  if (origin.kind === "local") {
    return (await snapshotFolder({ path: origin.path, packFile: file, bytesMax, timeoutMs })).layout;
  }
  const { commits: listed, mergeBase, repository } = await settings.listCommits(origin);
  const commits = chooseCommits({ head: origin.head, base: origin.base, mergeBase, listed });
  const pack = await mirrors.withCommits(
    {
      repositoryId: origin.repository.id,
      url: settings.gitUrl({ ...origin, repository }),
      commits,
      withToken: (use) => settings.withReadToken(origin, use),
    },
    (git) => writePack({ git, commits, file, bytesMax, timeoutMs }),
  );
  return {
    head: origin.head,
    base: origin.base,
    merge_base: mergeBase,
    shallow: pack.shallow,
    pack_bytes: pack.bytes,
    pack_sha256: pack.sha256,
  };
}

/** Head, base and merge base always; of the pull request's commits the newest, as many as the limit allows. */
function chooseCommits(found: {
  head: string;
  base: string;
  mergeBase: string | null;
  listed: readonly string[];
}): string[] {
  const { head, base, mergeBase, listed } = found;
  return [
    ...new Set([head, base, ...(mergeBase === null ? [] : [mergeBase]), ...listed.slice(-limits.sourceCommitsMax)]),
  ];
}

interface Files {
  readonly pack: string;
  readonly layout: string;
}

function filesOf(folder: string, run: RunId): Files {
  if (!isRunId(run)) {
    throw new TypeError("not a run id");
  }
  return { pack: join(folder, `${run}.pack`), layout: join(folder, `${run}.json`) };
}

/** The layout is written last, so it stands for a whole pack; null when there is none. */
async function readLayout(files: Files): Promise<SourceLayout | null> {
  try {
    const layout = SourceLayout.parse(JSON.parse(await readFile(files.layout, "utf8")));
    return (await stat(files.pack)).size === layout.pack_bytes ? layout : null;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return null;
    }
    throw error;
  }
}

async function storeLayout(files: Files, layout: SourceLayout): Promise<void> {
  const temporary = `${files.layout}.tmp`;
  const handle = await open(temporary, "w", 0o640);
  try {
    await handle.writeFile(JSON.stringify(layout));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, files.layout);
}
