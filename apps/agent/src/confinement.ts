import { spawn } from "node:child_process";
import type { ChildProcess, StdioOptions } from "node:child_process";
import { once } from "node:events";
import type { Cgroup } from "./cgroup.ts";
import { codexEnvironment } from "./environment.ts";
import { shorten } from "./failure.ts";
import { CODEX_GID, CODEX_UID, places } from "./places.ts";

/** `codex` has no rights at all; `root` has those of the agent itself. */
export type MachineUser = "codex" | "root";

/** A program to be run where Codex runs. */
export interface Program {
  readonly path: string;
  readonly args: readonly string[];
  /** Besides what everything gets. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** How a confined program ended, and what it wrote. */
export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  /** The beginning of it. */
  readonly stderr: string;
  /** Why it was killed before its end, if it was. */
  readonly cut: "time" | "size" | "stop" | null;
}

/** The one way to run anything as Codex's user; Codex gets no other, so what the gate sees holds for it. */
export interface Confinement {
  /** Starts it in `cgroup`. `stdio` as for spawn. The caller empties the cgroup afterwards. */
  start(program: Program, cgroup: Cgroup, stdio: StdioOptions): ChildProcess;
  /** Runs a helper to its end and empties the cgroup. Bounded in time and output. Never throws for how it ended. */
  run(program: Program, options: RunOptions): Promise<ProgramEnd>;
}

interface RunOptions {
  readonly cgroup: Cgroup;
  readonly timeoutMs: number;
  readonly stdoutBytesMax?: number;
  /** Text for its stdin, or a file descriptor. Nothing when not given. */
  readonly stdin?: string | number;
  readonly signal?: AbortSignal;
}

const OPEN_FILES_MAX = 4_096;
// One file must not fill the machine's memory, which is also its disk.
const FILE_BYTES_MAX = 1024 * 1024 * 1024;
// Of 1000: all of Codex's processes before any of ours.
const OOM_SCORE = 800;
const ULIMIT_BLOCK_BYTES = 512;
const STDERR_BYTES_MAX = 16 * 1024;
const STDERR_CHARS_MAX = 1_000;
const STDOUT_BYTES_MAX = 64 * 1024;
// After the last process of a cgroup has gone, its pipes hold no more than the kernel's buffers.
const DRAIN_MS = 2_000;

/** Joins the cgroup before anything else, so that no child is ever outside. The text is fixed; all else is argument. */
const launchScript = [
  'echo 0 > "$1/cgroup.procs" || exit 125',
  // When memory runs out the agent must not be the one to go.
  `echo ${OOM_SCORE} > /proc/self/oom_score_adj || exit 125`,
  "umask 077",
  `ulimit -c 0 && ulimit -n ${OPEN_FILES_MAX} && ulimit -f ${FILE_BYTES_MAX / ULIMIT_BLOCK_BYTES} || exit 125`,
  "shift",
  'exec "$@"',
].join("\n");

/**
 * The command line that turns root into a confined `codex`, as one argument list. As `root` it stays root with all its
 * rights, and begins in the same cgroup, network and limits; root can leave each of them.
 */
export function confinedCommand(options: {
  user: MachineUser;
  cgroup: string;
  network: string;
  program: Program;
}): string[] {
  const { user, cgroup, network, program } = options;
  return [
    // Busybox is static: under emulation it starts in a third of the time of the shell it stands for.
    places.busybox,
    "sh",
    "-c",
    launchScript,
    "sh",
    cgroup,
    places.busybox,
    "nsenter",
    `--net=${network}`,
    ...(user === "root" ? [] : giveUpAllRights),
    program.path,
    ...program.args,
  ];
}

const giveUpAllRights = [
  "/usr/bin/setpriv",
  `--reuid=${CODEX_UID}`,
  `--regid=${CODEX_GID}`,
  "--clear-groups",
  "--no-new-privs",
  "--bounding-set=-all",
  "--inh-caps=-all",
  "--ambient-caps=-all",
  "--",
];

/** `network` is the file that holds Codex's network namespace. */
export function createConfinement({ network, user }: { network: string; user: MachineUser }): Confinement {
  const environment = codexEnvironment();

  function start(program: Program, cgroup: Cgroup, stdio: StdioOptions): ChildProcess {
    const [command = "", ...args] = confinedCommand({ user, cgroup: cgroup.path, network, program });
    // A session of its own: no terminal of ours to write to.
    const env = { ...environment, ...program.environment };
    return spawn(command, args, { env, cwd: "/", stdio, detached: true });
  }

  async function run(program: Program, options: RunOptions): Promise<ProgramEnd> {
    const { cgroup, stdin } = options;
    const source = typeof stdin === "string" ? "pipe" : (stdin ?? "ignore");
    const child = start(program, cgroup, [source, "pipe", "pipe"]);
    const closed = whenClosed(child);
    let cut: ProgramEnd["cut"] = null;
    function end(why: NonNullable<ProgramEnd["cut"]>): void {
      cut ??= why;
      child.kill("SIGKILL");
    }
    const timer = setTimeout(end, options.timeoutMs, "time");
    const stop = (): void => end("stop");
    options.signal?.addEventListener("abort", stop);
    if (options.signal?.aborted === true) {
      stop();
    }
    const stdout = collect(child.stdout, options.stdoutBytesMax ?? STDOUT_BYTES_MAX, () => end("size"));
    const stderr = collect(child.stderr, STDERR_BYTES_MAX, null);
    if (typeof stdin === "string") {
      // A program that ends without reading is judged by its exit code.
      child.stdin?.on("error", () => {});
      child.stdin?.end(stdin);
    }
    try {
      const [exitCode, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
      await cgroup.empty();
      await settle(child, closed);
      const text = shorten(Buffer.concat(stderr).toString("utf8").trim(), STDERR_CHARS_MAX);
      return { exitCode, signal, stdout: Buffer.concat(stdout), stderr: text, cut };
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", stop);
    }
  }

  return { start, run };
}

/** Resolves when a program has ended and its pipes are closed; also when it never started. */
export async function whenClosed(child: ChildProcess): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once("close", () => resolve());
  child.once("error", () => resolve());
  return promise;
}

/** Waits for the pipes of a dead program to run dry, but never long: a pipe can be held open from elsewhere. */
export async function settle(child: ChildProcess, closed: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, DRAIN_MS);
  await Promise.race([closed, promise]);
  clearTimeout(timer);
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function collect(stream: NodeJS.ReadableStream | null, bytesMax: number, onTooMuch: (() => void) | null): Buffer[] {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    const room = bytesMax - size;
    if (chunk.length > room) {
      onTooMuch?.();
    }
    const taken = chunk.subarray(0, Math.max(room, 0));
    size += taken.length;
    if (taken.length > 0) {
      chunks.push(taken);
    }
  });
  return chunks;
}
