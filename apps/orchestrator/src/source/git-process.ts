import { spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { AppError } from "@mayfly/core";
import { CREDENTIAL_FD } from "./git-environment.ts";

/** A process to start: an argv and the whole environment, nothing inherited. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Makes a launch of some git from git's own arguments. It decides where that git runs and what it may touch. */
export type PlanGit = (args: readonly string[]) => Launch;

/** How a process ended. */
export interface GitEnd {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly timedOut: boolean;
  /** The last of what it said, as printable text on one line. */
  readonly stderr: string;
}

export interface RunningGit {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Settles when it and everything it started are gone and stdout has been read. Never rejects. */
  readonly ended: Promise<GitEnd>;
  /** Ends it and everything it started. */
  kill(): void;
}

export interface ProcessOptions {
  readonly timeoutMs: number;
  /** A token for the remote, handed over on an inherited stream: on no command line, in no environment, in no file. */
  readonly token?: string;
}

/** What of stderr is kept: enough for git's last words. */
const STDERR_CHARS_MAX = 600;

/** Starts a process in a group of its own. The caller reads stdout and ends stdin. */
export function startGit(launch: Launch, { timeoutMs, token }: ProcessOptions): RunningGit {
  const child = spawn(launch.command, launch.args, {
    env: { ...launch.env },
    ...(launch.cwd === undefined ? {} : { cwd: launch.cwd }),
    stdio: token === undefined ? ["pipe", "pipe", "pipe"] : ["pipe", "pipe", "pipe", "pipe"],
    // A group of its own, so that its helpers die with it.
    detached: true,
  });
  let stderr = "";
  let timedOut = false;
  let exited = false;
  const [stdin, stdout, errors] = [child.stdin, child.stdout, child.stderr];

  function kill(): void {
    if (child.pid === undefined || exited) {
      return;
    }
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Already gone.
    }
  }

  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, timeoutMs);
  // It may end before it has read everything; how it ended says whether that matters.
  stdin.on("error", () => undefined);
  errors.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString("latin1")).slice(-STDERR_CHARS_MAX);
  });
  if (token !== undefined) {
    handOver(child.stdio[CREDENTIAL_FD] as Writable, token);
  }

  const ended = new Promise<GitEnd>((resolve) => {
    function settle(code: number | null): void {
      clearTimeout(timer);
      exited = true;
      resolve({ code, timedOut, stderr: printable(stderr, token) });
    }
    child.on("error", (error) => {
      stderr += error.message;
      stdout.destroy();
      settle(null);
    });
    child.on("close", settle);
  });
  return { stdin, stdout, ended, kill };
}

export interface GitAnswer extends GitEnd {
  readonly stdout: Buffer;
}

export interface AnswerOptions extends ProcessOptions {
  readonly input?: string | Uint8Array;
  /** More than this is a fault: SOURCE_TOO_BIG. */
  readonly stdoutBytesMax?: number;
}

/** Enough for any answer that is a few lines. */
const STDOUT_BYTES_MAX = 4 * 1024 * 1024;

/** Runs a process to its end and returns its answer, whatever its exit code. Throws SOURCE_TOO_BIG on too long an answer. */
export async function askGit(launch: Launch, options: AnswerOptions): Promise<GitAnswer> {
  const { input, stdoutBytesMax = STDOUT_BYTES_MAX } = options;
  const git = startGit(launch, options);
  git.stdin.end(input);
  const chunks: Buffer[] = [];
  let bytes = 0;
  git.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > stdoutBytesMax) {
      git.kill();
    } else {
      chunks.push(chunk);
    }
  });
  git.stdout.on("error", () => undefined);
  const end = await git.ended;
  if (bytes > stdoutBytesMax) {
    throw new AppError("SOURCE_TOO_BIG", `git answered with more than ${stdoutBytesMax} bytes`);
  }
  return { ...end, stdout: Buffer.concat(chunks) };
}

/** Runs a process that must succeed. Throws SOURCE_UNAVAILABLE with `what`, SOURCE_TOO_BIG. */
export async function needGit(what: string, launch: Launch, options: AnswerOptions): Promise<Buffer> {
  const answer = await askGit(launch, options);
  if (answer.code !== 0) {
    throw unavailable(what, answer, options.timeoutMs);
  }
  return answer.stdout;
}

/** The fault that a failed git command is. */
export function unavailable(what: string, end: GitEnd, timeoutMs: number): AppError {
  const why = end.timedOut ? `took longer than ${timeoutMs / 1000} s` : end.stderr === "" ? "git failed" : end.stderr;
  return new AppError("SOURCE_UNAVAILABLE", `${what}: ${why}`);
}

function handOver(stream: Writable, token: string): void {
  // Nobody may ask for it; then it is dropped with the stream.
  stream.on("error", () => undefined);
  stream.end(`username=x-access-token\npassword=${token}\n`);
}

function printable(text: string, token: string | undefined): string {
  const withoutToken = token === undefined || token === "" ? text : text.replaceAll(token, "[secret]");
  return withoutToken
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .replaceAll(/ {2,}/g, " ")
    .trim();
}
