import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "@mayfly/core";
import { needGit, startGit, unavailable, type PlanGit } from "./git-process.ts";

export interface PackRequest {
  /** A git on a repository that has the commits with everything in their trees. */
  readonly git: PlanGit;
  readonly commits: readonly string[];
  /** Where the pack is put once it is whole. */
  readonly file: string;
  readonly bytesMax: number;
  readonly timeoutMs: number;
}

export interface Pack {
  readonly bytes: number;
  readonly sha256: string;
  /** The commits whose parents are not all in the pack. */
  readonly shallow: string[];
}

/** The text of all commits of a pack: messages, signatures. 253 commits of ordinary size have 250 kB. */
const COMMIT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Writes a pack of exactly these commits and everything in their trees: no parents, nothing else. The file appears whole
 * or not at all. Throws SOURCE_UNAVAILABLE when something is missing, SOURCE_TOO_BIG beyond `bytesMax`.
 */
export async function writePack(request: PackRequest): Promise<Pack> {
  const commits = [...new Set(request.commits)];
  const shallow = await findShallow(request, commits);
  const temporary = `${request.file}.tmp`;
  await mkdir(dirname(request.file), { recursive: true, mode: 0o700 });
  try {
    const { bytes, sha256 } = await spool(request, commits, temporary);
    await rename(temporary, request.file);
    return { bytes, sha256, shallow };
  } finally {
    await rm(temporary, { force: true });
  }
}

/** `rev-list` names the objects, `pack-objects` packs those and no others. */
async function spool(
  request: PackRequest,
  commits: readonly string[],
  file: string,
): Promise<{ bytes: number; sha256: string }> {
  const { git, bytesMax, timeoutMs } = request;
  const list = startGit(git(["rev-list", "--objects", "--no-object-names", "--no-walk", "--stdin"]), { timeoutMs });
  const pack = startGit(git(["pack-objects", "--stdout", "--quiet", "--delta-base-offset"]), { timeoutMs });
  const hash = createHash("sha256");
  let bytes = 0;

  async function* measured(source: Readable): AsyncGenerator<Buffer> {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) {
        throw new AppError("SOURCE_TOO_BIG", `the source is larger than ${bytesMax} bytes, packed`);
      }
      hash.update(chunk);
      yield chunk;
    }
  }

  list.stdin.end(commits.map((commit) => `${commit}\n`).join(""));
  const [listed, packed] = await Promise.allSettled([
    pipeline(list.stdout, pack.stdin),
    // On disk before it is called whole: a record that outlives a crash must not point at half a file.
    pipeline(pack.stdout, measured, createWriteStream(file, { mode: 0o640, flush: true })),
  ]);
  // One that goes well ends by itself, a moment after its last byte.
  if (listed.status === "rejected" || packed.status === "rejected") {
    list.kill();
    pack.kill();
  }
  const [listEnd, packEnd] = await Promise.all([list.ended, pack.ended]);
  if (packed.status === "rejected" && packed.reason instanceof AppError) {
    throw packed.reason;
  }
  if (listEnd.code !== 0) {
    throw unavailable("the source cannot be listed", listEnd, timeoutMs);
  }
  if (packEnd.code !== 0) {
    throw unavailable("the source cannot be packed", packEnd, timeoutMs);
  }
  if (listed.status === "rejected") {
    throw listed.reason;
  }
  if (packed.status === "rejected") {
    throw packed.reason;
  }
  return { bytes, sha256: hash.digest("hex") };
}

async function findShallow({ git, timeoutMs }: PackRequest, commits: readonly string[]): Promise<string[]> {
  const raw = await needGit("the commits cannot be read", git(["cat-file", "--batch"]), {
    timeoutMs,
    input: commits.map((commit) => `${commit}\n`).join(""),
    stdoutBytesMax: COMMIT_BYTES_MAX,
  });
  const present = new Set(commits);
  let at = 0;
  return commits.filter((commit) => {
    const headerEnd = raw.indexOf("\n", at);
    const [id, type, size] = raw.toString("latin1", at, headerEnd).split(" ");
    if (id !== commit || type !== "commit") {
      throw new AppError("SOURCE_UNAVAILABLE", `${commit} is not a commit`);
    }
    const text = raw.toString("latin1", headerEnd + 1, headerEnd + 1 + Number(size));
    at = headerEnd + 1 + Number(size) + 1;
    return !parentsOf(text).every((parent) => present.has(parent));
  });
}

/** As the commit itself says, not as a mirror without history sees it. */
function parentsOf(commit: string): string[] {
  const header = commit.slice(0, commit.indexOf("\n\n"));
  return header.split("\n").flatMap((line) => (line.startsWith("parent ") ? [line.slice("parent ".length)] : []));
}
