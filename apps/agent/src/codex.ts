import { once } from "node:events";
import { limits } from "@mayfly/core/limits";
import type { AgentEvent, Assignment } from "@mayfly/core/protocol";
import type { Result, Usage } from "@mayfly/core/result";
import type { Cgroup } from "./cgroup.ts";
import { createLineSplitter, readTelling, shortenLine } from "./codex-line.ts";
import { settle, whenClosed } from "./confinement.ts";
import type { Confinement } from "./confinement.ts";
import { shorten } from "./failure.ts";
import { codexArguments } from "./invocation.ts";
import { places } from "./places.ts";
import type { Stop } from "./stop.ts";
import type { Strategy } from "./strategies/strategy.ts";

/** How Codex ended and what it said of itself. */
export interface CodexEnd {
  readonly exitCode: number | null;
  readonly endedBy: Result["codex"]["ended_by"];
  readonly error: string | null;
  readonly usage: Usage | null;
}

// One item holds up to 1 MiB of a command's output, which JSON can make six times as long.
const LINE_BYTES_MAX = 8 * 1024 * 1024;
const STDERR_BYTES_MAX = 16 * 1024;
const ERROR_CHARS_MAX = 3_990;
// What the CLI may take to end its children after it was asked to.
const TERM_MS = 5_000;

/**
 * Runs Codex to its end: its own, the deadline's or the broker's. It is over when the CLI has exited, though its children
 * may hold on to its output, and they are killed before this returns. Throws if the CLI cannot be started.
 */
export async function runCodex(deps: {
  confinement: Pick<Confinement, "start">;
  cgroup: Cgroup;
  strategy: Strategy;
  codex: Assignment["codex"];
  push: (event: AgentEvent) => void;
  stop: Stop;
}): Promise<CodexEnd> {
  const { confinement, cgroup, strategy, codex, push, stop } = deps;
  const told = createListener(push);
  const args = codexArguments(codex, strategy.sandbox(codex.sandbox));
  const child = confinement.start({ path: places.codex, args }, cgroup, ["pipe", "pipe", "pipe"]);
  const closed = whenClosed(child);
  push({ type: "codex_started" });

  // Codex may end without having read its prompt; its exit code speaks for it.
  child.stdin?.on("error", () => {});
  child.stdin?.end(codex.prompt);
  child.stdout?.on("data", told.hearOutput);
  child.stderr?.on("data", told.hearError);

  let killTimer: NodeJS.Timeout | undefined;
  function end(): void {
    child.kill("SIGTERM");
    killTimer = setTimeout(() => child.kill("SIGKILL"), TERM_MS);
  }
  stop.signal.addEventListener("abort", end);
  if (stop.signal.aborted) {
    end();
  }
  let exit: [number | null, NodeJS.Signals | null];
  try {
    exit = (await once(child, "exit")) as typeof exit;
  } finally {
    clearTimeout(killTimer);
    stop.signal.removeEventListener("abort", end);
  }
  const stopped = stop.reason();
  await cgroup.empty();
  await settle(child, closed);
  told.end();

  const [code, signal] = exit;
  const endedBy =
    stopped === null ? (signal === null ? "exit" : "signal") : stopped === "deadline" ? "deadline" : "stop";
  push({ type: "codex_exited", exit_code: code });
  const exitCode = endedBy === "exit" ? code : null;
  return { exitCode, endedBy, error: exitCode === 0 ? null : told.error(), usage: told.usage() };
}

/** Reads along: every line becomes an event, and usage and errors are remembered. */
function createListener(push: (event: AgentEvent) => void): {
  hearOutput: (chunk: Buffer) => void;
  hearError: (chunk: Buffer) => void;
  end: () => void;
  usage: () => Usage | null;
  error: () => string | null;
} {
  let usage: Usage | null = null;
  let error: string | null = null;
  let stderr = Buffer.alloc(0);
  const splitter = createLineSplitter({ bytesMax: LINE_BYTES_MAX, onLine: hearLine });

  function hearLine(line: string, bytesCut: number): void {
    push({ type: "codex", line: shortenLine(line, limits.eventBytesMax) });
    if (bytesCut > 0) {
      push({ type: "note", text: `${bytesCut} bytes of one line were cut` });
    }
    const telling = readTelling(line);
    if (telling?.type === "usage") {
      usage = telling.usage;
    } else if (telling?.type === "error") {
      error = telling.message;
    }
  }

  function hearError(chunk: Buffer): void {
    // The end of it says why the CLI gave up.
    stderr = Buffer.concat([stderr, chunk]).subarray(-STDERR_BYTES_MAX);
  }

  function lastError(): string | null {
    const text = error ?? stderr.toString("utf8").trim().slice(-ERROR_CHARS_MAX).toWellFormed();
    return text === "" ? null : shorten(text.toWellFormed(), ERROR_CHARS_MAX);
  }

  return { hearOutput: splitter.write, hearError, end: splitter.end, usage: () => usage, error: lastError };
}
