import { limits } from "@mayfly/core/limits";
import { Result, Withheld } from "@mayfly/core/result";
import { z } from "zod";
import type { Cgroup } from "./cgroup.ts";
import type { CodexEnd } from "./codex.ts";
import { readChanges } from "./collect-changes.ts";
import type { Confinement, ProgramEnd } from "./confinement.ts";
import { places } from "./places.ts";

type Output = Result["final_message"];

// Everything together must be over well within limits.resultMs, which began at the freeze.
const READ_MS = 15_000;
const PATCH_MS = 30_000;
// JSON writes one character as up to six.
const JSON_EXPANSION = 6;
const FRAME_BYTES = 1_024;
const GIT_OUTPUT_BYTES_MAX = 64 * 1024;

const Found = z.discriminatedUnion("state", [
  z.strictObject({ state: z.literal("present"), text: z.string() }),
  z.strictObject({ state: z.literal("withheld"), why: Withheld }),
]);

export interface CollectDeps {
  readonly confinement: Confinement;
  /** Fresh: nothing that Codex started is in it. */
  readonly cgroup: Cgroup;
  /** The source of inside/read.ts. */
  readonly reader: string;
}

/**
 * Gathers what the attempt leaves: read by the user that Codex was, after every process of Codex is gone. Each part is
 * there or says why not; throws only if the machine itself is broken.
 */
export async function collectResult(
  deps: CollectDeps,
  options: { end: CodexEnd; version: string; head: string; isStructured: boolean; wantsChanges: boolean },
): Promise<Result> {
  const { end, version, head, isStructured, wantsChanges } = options;
  const message = await readOutput(deps, places.lastMessage, limits.finalMessageBytesMax);
  return Result.parse({
    codex: { version, exit_code: end.exitCode, ended_by: end.endedBy, error: end.error },
    final_message: message,
    // With a schema the final message is the structured output; whether it fits is judged elsewhere.
    structured: isStructured ? message : null,
    ...(await readWorkTree(deps, { head, wantsChanges })),
    usage: end.usage,
  } satisfies Result);
}

async function readOutput(
  { confinement, cgroup, reader }: CollectDeps,
  path: string,
  bytesMax: number,
): Promise<Output> {
  const program = { path: places.node, args: ["--eval", reader, "--", path, String(bytesMax)] };
  const stdoutBytesMax = bytesMax * JSON_EXPANSION + FRAME_BYTES;
  const end = await confinement.run(program, { cgroup, timeoutMs: READ_MS, stdoutBytesMax });
  return readFound(end);
}

function readFound(end: ProgramEnd): Output {
  if (end.exitCode !== 0 || end.cut !== null) {
    return { state: "withheld", why: "unreadable" };
  }
  try {
    return Found.parse(JSON.parse(end.stdout.toString("utf8")));
  } catch {
    return { state: "withheld", why: "unreadable" };
  }
}

/**
 * What differs between the head and the work tree, new files included and ignored ones not. Codex may have written
 * whatever it likes into `.git`; git runs on it as Codex's user and in Codex's confinement, so it gains nothing.
 */
async function readWorkTree(
  { confinement, cgroup }: CollectDeps,
  { head, wantsChanges }: { head: string; wantsChanges: boolean },
): Promise<Pick<Result, "patch" | "changes">> {
  const end = performance.now() + PATCH_MS;
  async function run(path: string, args: readonly string[], stdoutBytesMax: number, stdin = ""): Promise<ProgramEnd> {
    const timeoutMs = Math.max(end - performance.now(), 1);
    return confinement.run({ path, args, environment: ownIndex }, { cgroup, timeoutMs, stdoutBytesMax, stdin });
  }

  // An index of its own: a lock or a half-written one that Codex left does not matter. Copied, for it knows which files
  // are unchanged without reading them again.
  const copied = await run("/bin/cp", ["--", `${places.repository}/.git/index`, places.collectIndex], 0);
  if (copied.exitCode !== 0) {
    await run("/usr/bin/git", [...inRepository, "read-tree", head], GIT_OUTPUT_BYTES_MAX);
  }
  const added = await run("/usr/bin/git", [...inRepository, "add", "--all"], GIT_OUTPUT_BYTES_MAX);
  if (added.exitCode !== 0) {
    const unreadable = { state: "withheld", why: "unreadable" } as const;
    return { patch: unreadable, ...(wantsChanges ? { changes: unreadable } : {}) };
  }
  const diff = await run("/usr/bin/git", [...inRepository, ...patchArguments(head)], limits.patchBytesMax);
  const patch = readDiff(diff);
  if (!wantsChanges) {
    return { patch };
  }
  const changes = await readChanges(
    (args, bytesMax, stdin) => run("/usr/bin/git", [...inRepository, ...args], bytesMax, stdin),
    head,
  );
  return { patch, changes };
}

const ownIndex = { GIT_INDEX_FILE: places.collectIndex };
const inRepository = ["-C", places.repository, "-c", "advice.addEmbeddedRepo=false"];

/** `git diff` with every choice made, so that no configuration changes how the patch looks. */
function patchArguments(head: string): string[] {
  return [
    "diff",
    "--cached",
    "--binary",
    "--full-index",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    head,
    "--",
  ];
}

export function readDiff(diff: ProgramEnd): Output {
  if (diff.cut === "size") {
    return { state: "withheld", why: "too_big" };
  }
  if (diff.exitCode !== 0 || diff.cut !== null) {
    return { state: "withheld", why: "unreadable" };
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(diff.stdout);
    return { state: "present", text };
  } catch {
    return { state: "withheld", why: "not_utf8" };
  }
}

/** The result as it fits into its frame: what is too long once written as JSON is left out, the largest part first. */
export function fitResult(result: Result): Result {
  const tooBig = { state: "withheld", why: "too_big" } as const;
  const changes = result.changes === undefined ? {} : { changes: tooBig };
  const steps: Partial<Result>[] = [
    {},
    { patch: tooBig },
    { patch: tooBig, ...changes },
    { patch: tooBig, ...changes, structured: result.structured && tooBig },
  ];
  for (const step of steps) {
    const fitted = { ...result, ...step };
    if (Buffer.byteLength(JSON.stringify(fitted)) + FRAME_BYTES <= limits.resultBytesMax) {
      return fitted;
    }
  }
  return { ...result, patch: tooBig, ...changes, structured: result.structured && tooBig, final_message: tooBig };
}
