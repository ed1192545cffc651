import { createHash } from "node:crypto";
import { closeSync, constants, openSync, rmSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { limits } from "@mayfly/core/limits";
import type { SourceLayout } from "@mayfly/core/protocol";
import type { Cgroup } from "./cgroup.ts";
import { isUnreachable } from "./channel-error.ts";
import type { Channel } from "./channel.ts";
import type { Confinement } from "./confinement.ts";
import { StepFailure } from "./failure.ts";
import { places } from "./places.ts";

export interface SourceDeps {
  readonly channel: Channel;
  readonly confinement: Confinement;
  readonly cgroup: Cgroup;
  readonly signal: AbortSignal;
}

const PATIENCE_MS = 10 * 60_000;
const PAUSE_MS = 1_000;
// git says one line for what we ask it.
const GIT_OUTPUT_BYTES_MAX = 64 * 1024;

/**
 * Brings the pull request's source into /work/repo: fetches the pack, and lets Codex's user unpack it and check
 * it out. Leaves `mayfly/head`, `mayfly/base`, `mayfly/merge-base` and the branch `pull-request`. Throws StepFailure.
 */
export async function layOutSource(deps: SourceDeps, layout: SourceLayout, capability: string): Promise<void> {
  try {
    await fetchPack(deps, layout, capability);
    await unpack(deps, layout);
  } finally {
    rmSync(places.pack, { force: true });
  }
}

async function fetchPack({ channel, signal }: SourceDeps, layout: SourceLayout, capability: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await fetchOnce(channel, layout, capability, signal);
      return;
    } catch (error) {
      if (!isUnreachable(error) || performance.now() > end) {
        throw error;
      }
    }
    await sleep(PAUSE_MS, undefined, { signal });
  }
}

async function fetchOnce(
  channel: Channel,
  layout: SourceLayout,
  capability: string,
  signal: AbortSignal,
): Promise<void> {
  const hash = createHash("sha256");
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const file = openSync(places.pack, flags, 0o600);
  let size = 0;
  try {
    await channel.download({ method: "GET", path: "/v1/source", token: capability, signal }, (chunk) => {
      size += chunk.length;
      if (size > layout.pack_bytes) {
        throw new StepFailure("source", `the pack is larger than the ${layout.pack_bytes} bytes announced`);
      }
      hash.update(chunk);
      for (let written = 0; written < chunk.length;) {
        written += writeSync(file, chunk, written);
      }
    });
  } finally {
    closeSync(file);
  }
  if (size !== layout.pack_bytes || hash.digest("hex") !== layout.pack_sha256) {
    throw new StepFailure("source", `the pack is not the one announced (${size} of ${layout.pack_bytes} bytes)`);
  }
}

async function unpack(deps: SourceDeps, layout: SourceLayout): Promise<void> {
  const folders = [places.codexHome, places.temporary, places.out];
  await run(deps, "/bin/mkdir", ["-p", "-m", "700", ...folders]);
  const format = layout.head.length === 64 ? "sha256" : "sha1";
  const init = ["init", "--quiet", "--template=", "--initial-branch=pull-request", `--object-format=${format}`];
  await run(deps, "/usr/bin/git", [...init, places.repository]);
  if (layout.shallow.length > 0) {
    // Before the objects: the pack's edge is only sound together with this list.
    const shallow = `${layout.shallow.join("\n")}\n`;
    await run(deps, "/usr/bin/tee", [`${places.repository}/.git/shallow`], shallow);
  }
  const pack = openSync(places.pack, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await git(deps, ["index-pack", "--stdin"], pack);
  } finally {
    closeSync(pack);
  }
  await git(deps, ["update-ref", "--stdin"], refCommands(layout));
  await git(deps, ["reset", "--quiet", "--hard", layout.head]);
}

/** What `git update-ref --stdin` is told. */
export function refCommands({ head, base, merge_base }: SourceLayout): string {
  const refs = [
    ["refs/heads/pull-request", head],
    ["refs/mayfly/head", head],
    ["refs/mayfly/base", base],
    ["refs/mayfly/merge-base", merge_base],
  ];
  return refs
    .filter(([, sha]) => sha !== null)
    .map(([ref, sha]) => `create ${ref} ${sha}\n`)
    .join("");
}

async function git(deps: SourceDeps, args: readonly string[], stdin?: string | number): Promise<void> {
  await run(deps, "/usr/bin/git", ["-C", places.repository, ...args], stdin);
}

async function run(deps: SourceDeps, path: string, args: readonly string[], stdin?: string | number): Promise<void> {
  const { confinement, cgroup, signal } = deps;
  const options = { cgroup, timeoutMs: limits.gitMs, stdoutBytesMax: GIT_OUTPUT_BYTES_MAX, signal };
  const end = await confinement.run({ path, args }, stdin === undefined ? options : { ...options, stdin });
  if (end.exitCode !== 0) {
    const how = end.cut ?? end.signal ?? `exit code ${end.exitCode}`;
    throw new StepFailure("source", `${path} ${args.slice(0, 3).join(" ")} failed (${how}): ${end.stderr}`);
  }
}
