import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { faults, isAppError } from "@mayfly/core";
import type { Terminal } from "../cli/terminal.ts";
import type { Account } from "../host/account.ts";
import { processEnvironment } from "./process-environment.ts";
import { seal } from "./handover.ts";

/** A process that ends is started again after this long, twice as long each time, up to the most. */
const RESTART_MS = 100;
const RESTART_MS_MAX = 5_000;
/** One that has run this long has started well: the next pause is short again. */
const SOUND_MS = 30_000;
/** How long a process may take to end when asked. */
const STOP_MS = 10_000;
/** Exit codes that say that starting again would not help: what was set is wrong, or a credential is missing. */
const HOPELESS: readonly number[] = [faults.CONFIG_INVALID.exit, faults.MODEL_KEY_MISSING.exit];

/** One process of a service. */
export interface Part {
  /** As `mayfly process` knows it. */
  readonly name: "service" | "local" | "broker" | "signer";
  readonly account: Account | null;
  readonly settings: unknown;
  /** Opens what it inherits as descriptor 4, anew for each start. */
  readonly openFile?: () => number;
}

/** What it says to its supervisor: it has the state folder for itself, so that the others may start. */
export const READY_FOR_OTHERS = "ready for others";

export interface Supervision {
  readonly terminal: Terminal;
  /** Ends with it: the service, or one local run. */
  readonly main: Part;
  /** Started once `main` says so, and again whenever they end. */
  readonly others: readonly Part[];
  /** For tests that speak to the main process. */
  readonly onMain?: (child: ChildProcess) => void;
}

/**
 * Runs the processes of a service, each as its own user. This process listens nowhere, reads nothing from outside and
 * stays what it was started as, since nobody else could start the others again. They end when it does, whatever ended it.
 *
 * @returns The main process's exit code.
 */
export async function supervise(supervision: Supervision): Promise<number> {
  const { terminal, main, others } = supervision;
  const child = start(terminal, main);
  supervision.onMain?.(child);
  const ended = exitOf(child);
  const kept: { stop: () => Promise<void> }[] = [];
  let hopeless: number | null = null;
  child.on("message", (message) => {
    if (message === READY_FOR_OTHERS && kept.length === 0) {
      for (const part of others) {
        const onHopeless = (code: number) => {
          hopeless ??= code;
          child.kill("SIGTERM");
        };
        kept.push(keep({ terminal, part, onHopeless }));
      }
    }
  });
  terminal.onStop(() => child.kill("SIGTERM"));
  const code = await ended;
  await Promise.all(kept.map(({ stop }) => stop()));
  return hopeless ?? code ?? 1;
}

/** Starts a process again whenever it ends, until told to stop. */
function keep(options: { terminal: Terminal; part: Part; onHopeless: (code: number) => void }): {
  stop: () => Promise<void>;
} {
  const { terminal, part, onHopeless } = options;
  const stopping = new AbortController();
  let child: ChildProcess | null = null;

  /** A start that fails is an end like any other: what stood in its way may pass. */
  async function runOnce(): Promise<number | null> {
    try {
      child = start(terminal, part);
      return await exitOf(child);
    } catch (error) {
      child = null;
      terminal.stderr(`mayfly: the ${part.name} could not be started: ${String(error)}\n`);
      return isAppError(error) ? faults[error.code].exit : null;
    }
  }

  async function run(): Promise<void> {
    let pause = RESTART_MS;
    while (!stopping.signal.aborted) {
      const startedAt = performance.now();
      const code = await runOnce();
      if (stopping.signal.aborted) {
        return;
      }
      if (code !== null && HOPELESS.includes(code)) {
        onHopeless(code);
        return;
      }
      pause = performance.now() - startedAt > SOUND_MS ? RESTART_MS : Math.min(pause * 2, RESTART_MS_MAX);
      terminal.stderr(`mayfly: the ${part.name} ended with ${code ?? "a signal"} and is started again\n`);
      await wait(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  const running = run();
  return {
    async stop() {
      stopping.abort();
      if (child !== null) {
        await stopProcess(child);
      }
      await running;
    },
  };
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(late);
}

/**
 * Starts it as who we are; it becomes its account itself once it has loaded its code, since root's own folders, where a
 * clone may lie, are closed to any other. What can never be gained back is given up before that by setpriv.
 */
function start(terminal: Terminal, part: Part): ChildProcess {
  const file = part.openFile?.();
  const argv = [...givingUp(part, terminal.isRoot), process.execPath, terminal.program, "process", part.name];
  const [command = "", ...args] = argv;
  const child = spawn(command, args, {
    env: processEnvironment(terminal.env),
    stdio: ["pipe", "inherit", "inherit", "ipc", ...(file === undefined ? [] : [file])],
    // Ctrl-C is for us: the main process is asked to stop, the others stop after it.
    detached: true,
  });
  if (file !== undefined) {
    closeSync(file);
  }
  // A process that ends before it has read everything says why by its exit code.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(seal({ account: part.account, settings: part.settings }));
  return child;
}

/** The service starts machines and git with newuidmap, which is privileged; the others start nothing. */
function givingUp({ name, account }: Part, isRoot: boolean): string[] {
  if (name === "service" || name === "local") {
    return [];
  }
  const bounding = isRoot && account !== null ? ["--bounding-set=-all,+setuid,+setgid"] : [];
  return ["setpriv", "--no-new-privs", ...bounding, "--"];
}

/** The exit code, or null if a signal ended it. */
async function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code));
  });
}
