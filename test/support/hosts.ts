import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { eventually, makeStateDir, processesNaming, type RunningService, startService } from "./service.ts";
import { freePort } from "./free-port.ts";

const END_MS = 60_000;

/** A host of its own for some roles: the processes of one `mayfly serve`, and its own state folder. */
export interface Host {
  readonly service: RunningService;
  readonly stateDir: string;
  /** As if its power failed: every process of it at once. */
  fail(): Promise<void>;
  /** Ends it in order, unless it has failed, and fails if a process is left. */
  stop(): Promise<void>;
}

/** Starts `mayfly serve` with a state folder of its own and this environment alone. */
export async function startHost(environment: Record<string, string>): Promise<Host> {
  const state = await makeStateDir();
  const service = await startService({ ...environment, MAYFLY_STATE_DIR: state.path }).catch(async (error: unknown) => {
    await state.remove();
    throw error;
  });
  return {
    service,
    stateDir: state.path,
    async fail() {
      const { pid } = service.process;
      for (const one of [pid, ...(await childrenOf(pid ?? 0))]) {
        process.kill(one ?? 0, "SIGKILL");
      }
      await service.kill();
    },
    async stop() {
      await service.stop();
      await eventually(
        async () => ((await processesNaming(state.path)).length === 0 ? true : null),
        END_MS,
        async () => `processes left: ${(await processesNaming(state.path)).join(", ")}`,
      );
      await state.remove();
    },
  };
}

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      return /^PPid:\s*(\d+)$/m.exec(status)?.[1] === String(parent) ? [pid] : [];
    }),
  );
  return found.flat();
}

export interface SharedRedis {
  readonly url: string;
  /** Says nothing and takes nothing, and closes no connection, until it is thawed. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** A Redis that several hosts reach, on this host's loopback alone. */
export async function startSharedRedis(): Promise<SharedRedis> {
  const folder = await makeStateDir();
  const port = await freePort();
  const data = join(folder.path, "redis");
  await mkdir(data);
  const options = ["--bind", "127.0.0.1", "--port", String(port), "--dir", data, "--appendonly", "yes", "--save", ""];
  const child: ChildProcess = spawn("redis-server", [...options, "--maxmemory-policy", "noeviction"], {
    stdio: "ignore",
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, "exit");
        child.kill("SIGTERM");
        child.kill("SIGCONT");
        await ended;
      }
      await rm(folder.path, { recursive: true, force: true });
    },
  };
}

/** In place of a network load balancer: a connection goes to the next target, and keeps its client's address. */
export interface Balancer {
  /** How many connections each target was given. */
  readonly given: ReadonlyMap<number, number>;
  /** Those that are open now. */
  connections(): readonly Socket[];
  /** The target of the newest connection. */
  last(): number | null;
  close(): Promise<void>;
}

/** @param targets Ports of this host, tried in turn; one that refuses is passed over. */
export async function startBalancer(port: number, targets: readonly number[]): Promise<Balancer> {
  const given = new Map<number, number>();
  const open = new Set<Socket>();
  let next = 0;
  let last: number | null = null;

  function pass(client: Socket, triesLeft: number): void {
    const target = targets[next++ % targets.length] ?? 0;
    const host = "127.0.0.1";
    const server = connect({ host, port: target, localAddress: client.remoteAddress ?? host });
    server.once("connect", () => {
      given.set(target, (given.get(target) ?? 0) + 1);
      last = target;
      open.add(server);
      client.pipe(server);
      server.pipe(client);
    });
    server.on("error", () => {
      if (server.connecting && triesLeft > 0) {
        pass(client, triesLeft - 1);
      } else {
        client.destroy();
      }
    });
    server.once("close", () => (open.has(server) ? client.destroy() : undefined));
    client.once("close", () => server.destroy());
  }

  const balancer: Server = createServer({ pauseOnConnect: false }, (client) => {
    open.add(client);
    client.on("error", () => undefined);
    client.once("close", () => open.delete(client));
    pass(client, targets.length - 1);
  });
  balancer.listen(port, "127.0.0.1");
  await once(balancer, "listening");
  return {
    given,
    connections: () => [...open].filter((socket) => !socket.destroyed),
    last: () => last,
    async close() {
      balancer.close();
      open.forEach((socket) => socket.destroy());
      await once(balancer, "close");
    },
  };
}
