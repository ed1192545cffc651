import { spawn } from "node:child_process";

import { AppError } from "@mayfly/core";

/** What a tool may print before the rest is dropped: package lists are 100 KB. */
const STDOUT_BYTES_MAX = 8 * 1024 * 1024;
/** As much of a tool's complaints as a person will read. */
const STDERR_BYTES_KEPT = 4 * 1024;
/** A tool that ignores SIGTERM for this long is killed; mmdebstrap needs a moment to remove its folder. */
const KILL_AFTER_MS = 10_000;

/**
 * A fixed file mode mask, time zone and language, so that a build is the same for everyone. Should this process be
 * killed, the tool gets the signal named first: nobody else would end it.
 */
const PRELUDE =
  'umask 022 && signal=$1 && shift && exec setpriv --pdeathsig "$signal" -- env -- LC_ALL=C.UTF-8 TZ=UTC "$@"';

export interface ToolCall {
  readonly command: string;
  readonly args: readonly string[];
  /** How long it may take, ms. */
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly stdin?: string;
  /** Variables set on top of the inherited environment (it carries proxies and npm's settings). */
  readonly env?: Readonly<Record<string, string>>;
  /** How to end it: KILL for what needs no tidying up and would not listen. TERM when not given. */
  readonly endWith?: "TERM" | "KILL";
  readonly signal?: AbortSignal;
}

/**
 * Runs one program and returns what it printed. Its arguments are passed on as they are: no shell reads them.
 *
 * @throws AppError IMAGE_BUILD_FAILED with the end of its complaints when it fails, cannot start or takes too long.
 * @throws the signal's reason when aborted; the program has ended by then.
 */
export async function runTool(call: ToolCall): Promise<string> {
  call.signal?.throwIfAborted();
  const environment = Object.entries(call.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const child = spawn("sh", ["-c", PRELUDE, "sh", call.endWith ?? "TERM", ...environment, call.command, ...call.args], {
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own, so that what it started can be ended with it.
    detached: true,
    ...(call.cwd === undefined ? {} : { cwd: call.cwd }),
  });
  const stdout: Buffer[] = [];
  let stdoutBytes = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    stdoutBytes += chunk.length;
    if (stdoutBytes <= STDOUT_BYTES_MAX) {
      stdout.push(chunk);
    }
  });
  let complaints = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaints = (complaints + chunk.toString("utf8")).slice(-STDERR_BYTES_KEPT);
  });
  // A tool that does not read its input is no fault of ours: its exit code tells.
  child.stdin.on("error", () => {});
  child.stdin.end(call.stdin ?? "");

  const ended = await waitForEnd(child, call);
  call.signal?.throwIfAborted();
  if (ended.code !== 0) {
    const how = ended.timedOut
      ? `took longer than ${call.timeoutMs / 1000} s`
      : `ended with ${ended.code ?? ended.signal}`;
    throw new AppError("IMAGE_BUILD_FAILED", `${call.command} ${how}: ${complaints.trim()}`, { cause: ended.error });
  }
  return Buffer.concat(stdout).toString("utf8");
}

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
  readonly error?: Error;
}

function waitForEnd(child: ReturnType<typeof spawn>, call: ToolCall): Promise<End> {
  return new Promise((resolve) => {
    let timedOut = false;
    let killTimer: NodeJS.Timeout | undefined;
    function end(): void {
      signalGroup(child.pid, `SIG${call.endWith ?? "TERM"}`);
      killTimer ??= setTimeout(() => signalGroup(child.pid, "SIGKILL"), KILL_AFTER_MS);
    }
    const timer = setTimeout(() => {
      timedOut = true;
      end();
    }, call.timeoutMs);
    call.signal?.addEventListener("abort", end, { once: true });
    function settle(result: Omit<End, "timedOut">): void {
      clearTimeout(timer);
      clearTimeout(killTimer);
      call.signal?.removeEventListener("abort", end);
      resolve({ ...result, timedOut });
    }
    child.once("error", (error) => settle({ code: null, signal: null, error }));
    child.once("close", (code, signal) => settle({ code, signal }));
  });
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) {
      process.kill(-pid, signal);
    }
  } catch {
    // It has just ended by itself.
  }
}
