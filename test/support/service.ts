import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { hostEnvironment } from "./host-environment.ts";
import { askService } from "../../apps/orchestrator/src/cli/control-client.ts";
import type { RunSummary, RunView } from "../../apps/orchestrator/src/web/control-api.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** An image that must be built first takes minutes on a small host. */
const START_MS = 15 * 60_000;
const STOP_MS = 60_000;
const POLL_MS = 100;

/** The line that `mayfly serve` prints once it is ready. */
interface Addresses {
  readonly webhook: string;
  readonly internal: string;
  readonly control: string;
  readonly state: string;
  readonly user: string;
  readonly acceleration: string;
  readonly image: string;
  readonly redis: string;
  readonly pid: number;
}

/** The real service as a child process. */
export interface RunningService {
  readonly addresses: Addresses;
  readonly process: ChildProcess;
  /** Everything it has written on standard error so far. */
  log(): string;
  /** SIGKILL: nothing is tidied up. */
  kill(): Promise<void>;
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>;
}

/**
 * Starts `mayfly serve` with this environment alone. Throws with its words if it ends before it is ready.
 *
 * @param onLog Called with each line of its standard error.
 * @param entry What runs in its place; it gets an IPC channel.
 */
export async function startService(
  environment: Record<string, string>,
  onLog: (line: string) => void = () => undefined,
  entry: string | null = null,
): Promise<RunningService> {
  const program = entry === null ? [`${root}/apps/orchestrator/src/main.ts`, "serve"] : [entry];
  const child = spawn(process.execPath, program, {
    env: { ...hostEnvironment(), ...environment },
    // A group of its own: Ctrl-C is for whoever started it, who ends its runs before it ends the service.
    detached: true,
    stdio: ["ignore", "pipe", "pipe", entry === null ? "ignore" : "ipc"],
  });
  let log = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    log += text;
    for (const line of text.split("\n").filter((one) => one !== "")) {
      onLog(line);
    }
  });
  const addresses = await firstLine(child, () => log);
  return {
    addresses,
    process: child,
    log: () => log,
    async kill() {
      await end(child, "SIGKILL");
    },
    async stop() {
      await end(child, "SIGTERM");
    },
  };
}

async function firstLine(child: ChildProcess, log: () => string): Promise<Addresses> {
  let text = "";
  const ready = new Promise<Addresses>((resolve, reject) => {
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0) {
        resolve(JSON.parse(text.slice(0, end)) as Addresses);
      }
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`mayfly serve ended with code ${code}:\n${log().slice(-4_000)}`)));
  });
  const late = wait(START_MS, undefined, { ref: false }).then(() => {
    throw new Error(`mayfly serve was not ready in time:\n${log().slice(-4_000)}`);
  });
  return Promise.race([ready, late]);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const ended = once(child, "exit");
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(late);
}

/** Asks the service of a state folder, as the command line does. */
export function controlOf(stateDir: string): {
  list(): Promise<RunSummary[]>;
  view(id: string): Promise<RunView>;
  cancel(id: string): Promise<void>;
  waitFor(id: string, what: (view: RunView) => boolean, ms: number): Promise<RunView>;
} {
  const view = (id: string) => askService<RunView>(stateDir, "GET", `/runs/${id}`);
  return {
    async list() {
      return (await askService<{ runs: RunSummary[] }>(stateDir, "GET", "/runs")).runs;
    },
    view,
    async cancel(id) {
      await askService(stateDir, "POST", `/runs/${id}/cancel`);
    },
    async waitFor(id, what, ms) {
      return eventually(
        async () => {
          const seen = await view(id).catch(() => null);
          return seen !== null && what(seen) ? seen : null;
        },
        ms,
        async () => `run ${id}: ${JSON.stringify((await view(id).catch(() => null))?.run).slice(0, 2_000)}`,
      );
    },
  };
}

/** Asks again until there is an answer. Throws with `why` after `ms`. */
export async function eventually<T>(ask: () => Promise<T | null>, ms: number, why: () => Promise<string>): Promise<T> {
  const until = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer !== null) {
      return answer;
    }
    if (performance.now() > until) {
      throw new Error(`nothing within ${ms} ms: ${await why()}`);
    }
    await wait(POLL_MS);
  }
}

/** Processes of this host whose arguments name the text: a machine's id, a state folder. */
export async function processesNaming(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
    if (Number(pid) !== process.pid && line.includes(text)) {
      found.push(Number(pid));
    }
  }
  return found;
}

/** A folder of its own for one service, short enough for the sockets in it. */
export async function makeStateDir(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "mayfly-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
