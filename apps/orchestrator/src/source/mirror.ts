import { chmod, lstat, mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError } from "@mayfly/core";
import type { Confine } from "../confine/confinement.ts";
import { askGit, needGit, unavailable, type GitEnd, type PlanGit } from "./git-process.ts";
import { createConfinedGit, type ConfinedGit } from "./git.ts";
import { createKeyedQueue } from "./keyed-queue.ts";
import { ensureSharedFolder } from "./shared-folder.ts";

export interface MirrorsDeps {
  /** Holds the mirrors; only the service's user may enter it. */
  readonly folder: string;
  readonly confine: Confine;
  /** The first of MIRRORS_AT_ONCE subordinate uids that are this module's own. */
  readonly firstUidOffset: number;
  /** Removes a folder whose content belongs to subordinate uids. Idempotent. */
  readonly remove: (path: string) => Promise<void>;
  readonly bytesMax: number;
  readonly timeoutMs: number;
}

interface FetchRequest {
  readonly repositoryId: number;
  /** http or https, without credentials. */
  readonly url: string;
  /** Object ids of the commits wanted, and of nothing else. */
  readonly commits: readonly string[];
  /** Lends a token that can read that repository. Called only when something must be fetched, once. */
  readonly withToken: <T>(use: (token: string) => Promise<T>) => Promise<T>;
}

/** One bare repository per repository id: a cache of commits with their trees, never of history. */
export interface Mirrors {
  /**
   * Fetches what is missing and lets `use` read the mirror, while nothing else touches it. Throws SOURCE_UNAVAILABLE,
   * SOURCE_TOO_BIG, and whatever `use` throws.
   */
  withCommits<T>(request: FetchRequest, use: (git: PlanGit) => Promise<T>): Promise<T>;
  /** Forgets a repository, once nothing uses its mirror any more. Idempotent. */
  ensureRemoved(repositoryId: number): Promise<void>;
}

/**
 * Mirrors in use at a time, each under a uid of its own. A repository always has the same one of them, so its files have
 * one owner; repositories that share one wait for each other.
 */
const MIRRORS_AT_ONCE = 4;

/** A mirror that has grown beyond this many times the largest pack is started anew: it is a cache. */
const MIRROR_SIZE_FACTOR = 4;
/** Every fetch adds a pack, and git looks through all of them. */
const MIRROR_PACKS_MAX = 100;
const MIRROR_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
const OBJECT_ID = /^[0-9a-f]{40}$/;

export function createMirrors(deps: MirrorsDeps): Mirrors {
  const queue = createKeyedQueue<number>();

  return {
    async withCommits(request, use) {
      const { url, protocol } = checkUrl(request.url);
      const commits = [...new Set(request.commits)];
      for (const commit of commits) {
        checkId(commit);
      }
      const mirror = mirrorOf(deps, request.repositoryId);
      return queue.run(mirror.slot, async () => {
        try {
          await ensureMirror(deps, mirror);
          const missing = await missingCommits(deps, mirror, commits);
          if (missing.length > 0) {
            await request.withToken((token) => fetchCommits(deps, mirror, { url, protocol, commits: missing, token }));
            await refuseOthers(deps, mirror, commits);
          }
          return await use(mirror.git.read);
        } catch (error) {
          // What a fault leaves is not worth working out: it is a cache.
          await deps.remove(mirror.path);
          throw error;
        }
      });
    },
    async ensureRemoved(repositoryId) {
      const mirror = mirrorOf(deps, repositoryId);
      await queue.run(mirror.slot, () => deps.remove(mirror.path));
    },
  };
}

interface Mirror {
  readonly path: string;
  readonly slot: number;
  readonly git: ConfinedGit;
}

function mirrorOf(deps: MirrorsDeps, repositoryId: number): Mirror {
  if (!Number.isSafeInteger(repositoryId) || repositoryId < 0) {
    throw new TypeError("not a repository id");
  }
  const path = join(deps.folder, `${repositoryId}.git`);
  const slot = repositoryId % MIRRORS_AT_ONCE;
  const git = createConfinedGit({
    confine: deps.confine,
    uidOffset: deps.firstUidOffset + slot,
    mirror: path,
    config: configOf(deps),
    fileBytesMax: deps.bytesMax,
    timeoutMs: deps.timeoutMs,
  });
  return { path, slot, git };
}

/** The mirror as a bare repository, empty if it was not there or has grown too large. */
async function ensureMirror(deps: MirrorsDeps, mirror: Mirror): Promise<void> {
  await createEmpty(deps, mirror);
  const counted = await needGit("the mirror cannot be counted", mirror.git.read(["count-objects", "-v"]), deps);
  const count = (name: string) => Number(new RegExp(`^${name}: ([0-9]+)$`, "m").exec(counted.toString())?.[1] ?? 0);
  if (count("size-pack") * 1024 > deps.bytesMax * MIRROR_SIZE_FACTOR || count("packs") > MIRROR_PACKS_MAX) {
    await deps.remove(mirror.path);
    await createEmpty(deps, mirror);
  }
}

/** As `git init` would, but for the configuration: that lies outside, where no git can write it. */
async function createEmpty(deps: MirrorsDeps, { path, slot }: Mirror): Promise<void> {
  // The folder beside it, of packs, is the broker's to read; mirrors are nobody's but ours and git's.
  await ensureSharedFolder(dirname(deps.folder), 0o710);
  await mkdir(deps.folder, { recursive: true, mode: 0o700 });
  // Replaced whole: a git of another mirror may be reading it.
  const temporary = `${configOf(deps)}.${slot}.tmp`;
  await writeFile(temporary, MIRROR_CONFIG);
  await rename(temporary, configOf(deps));
  if (await exists(join(path, "HEAD"))) {
    return;
  }
  // Made from nothing: we write into no folder that a git could have prepared for us.
  await deps.remove(path);
  for (const folder of [path, join(path, "objects"), join(path, "refs")]) {
    await mkdir(folder);
    // The confined uid must be able to write it. Nobody else can reach it: the parent is closed.
    await chmod(folder, 0o777);
  }
  await writeFile(join(path, "config"), "");
  await writeFile(join(path, "HEAD"), "ref: refs/heads/none\n");
}

function configOf({ folder }: MirrorsDeps): string {
  return join(folder, "config");
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}

/** The commits that no finished fetch has brought: a ref is written only once everything behind it has arrived. */
async function missingCommits(deps: MirrorsDeps, mirror: Mirror, commits: readonly string[]): Promise<string[]> {
  const types = await typesOf(deps, mirror, commits);
  return commits.filter((commit) => types.get(commit) !== "commit");
}

/** What kind of object each fetched id is. */
async function typesOf(deps: MirrorsDeps, mirror: Mirror, ids: readonly string[]): Promise<Map<string, string>> {
  const input = ids.map((id) => `${refOf(id)}\n`).join("");
  const looked = await needGit(
    "the mirror cannot be read",
    mirror.git.read(["cat-file", "--batch-check=%(objecttype)"]),
    {
      timeoutMs: deps.timeoutMs,
      input,
    },
  );
  const answers = looked.toString().split("\n");
  return new Map(ids.map((id, index) => [id, answers[index] ?? ""]));
}

interface Wanted {
  readonly url: string;
  readonly protocol: "https" | "http";
  readonly commits: readonly string[];
  readonly token: string;
}

/**
 * Depth 1 from every wanted commit is exactly the wanted commits with their trees. They are asked for by object id:
 * what `refs/pull/N/head` says now is nobody's approval.
 */
async function fetchCommits(
  deps: MirrorsDeps,
  mirror: Mirror,
  { url, protocol, commits, token }: Wanted,
): Promise<void> {
  const args = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"];
  const launch = mirror.git.fetch(protocol, [...args, "--no-auto-maintenance", "--stdin", "--end-of-options", url]);
  const input = commits.map((commit) => `+${commit}:${refOf(commit)}\n`).join("");
  const end = await askGit(launch, { timeoutMs: deps.timeoutMs, token, input });
  if (end.code === 0) {
    return;
  }
  throw await faultOf(deps, mirror, end);
}

async function faultOf(deps: MirrorsDeps, mirror: Mirror, end: GitEnd): Promise<AppError> {
  if (!end.timedOut) {
    const oversized = await needGit("the mirror cannot be searched", mirror.git.findOversized(), deps);
    if (oversized.length > 0) {
      return new AppError("SOURCE_TOO_BIG", `the source is larger than ${deps.bytesMax} bytes, packed`);
    }
  }
  return unavailable("the commits cannot be fetched", end, deps.timeoutMs);
}

async function refuseOthers(deps: MirrorsDeps, mirror: Mirror, commits: readonly string[]): Promise<void> {
  const [other] = await missingCommits(deps, mirror, commits);
  if (other !== undefined) {
    throw new AppError("SOURCE_UNAVAILABLE", `${other} is not a commit of this repository`);
  }
}

function refOf(commit: string): string {
  return `refs/commits/${commit}`;
}

function checkId(id: string): void {
  if (!OBJECT_ID.test(id)) {
    throw new AppError("SOURCE_UNAVAILABLE", "a commit has no proper object id");
  }
}

function checkUrl(text: string): { url: string; protocol: "https" | "http" } {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && url.username === "" && url.password === "") {
    if (url.protocol === "https:") {
      return { url: url.href, protocol: "https" };
    }
    if (url.protocol === "http:") {
      return { url: url.href, protocol: "http" };
    }
  }
  throw new AppError("CONFIG_INVALID", "the address of a repository must be http or https, without credentials");
}
