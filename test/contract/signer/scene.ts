import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { createGitHubApp, type GitHubApp, type Place } from "../../../apps/orchestrator/src/github/app.ts";
import { seal } from "../../../apps/orchestrator/src/process/handover.ts";
import { sockets } from "../../../apps/orchestrator/src/process/sockets.ts";
import { createPemAppKey } from "../../../apps/orchestrator/src/signer/app-key.ts";
import { openSigner, type SignerCore } from "../../../apps/orchestrator/src/signer/open-signer.ts";
import { createSignerClient } from "../../../apps/orchestrator/src/signer/signer-client.ts";
import { buildSignerServer } from "../../../apps/orchestrator/src/signer/signer-server.ts";
import type { Signer } from "../../../apps/orchestrator/src/signer/signer.ts";
import { createFakeGitHub, type FakeGitHub } from "../../fakes/github/server.ts";

const main = fileURLToPath(new URL("../../../apps/orchestrator/src/main.ts", import.meta.url));
/** A process of ours that loads its code on a busy host. */
const SOON_MS = 30_000;
const { log } = createLog({ level: "silent" });

/** A signer on its socket, between a stand-in for GitHub and whoever asks. */
export interface Scene {
  readonly github: FakeGitHub;
  readonly stateDir: string;
  readonly socket: string;
  readonly place: Place;
  /** The present signer. */
  readonly core: () => SignerCore;
  /** Moves its clock. */
  readonly later: (ms: number) => void;
  readonly client: (session?: string) => Signer;
  readonly app: (session?: string) => GitHubApp;
  readonly start: (options?: { url?: string; pem?: string }) => Promise<void>;
  /** The signer is gone from one moment to the next; what it had on disk stays. */
  readonly crash: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function createScene(): Promise<Scene> {
  const stateDir = await mkdtemp(join(tmpdir(), "mf-signer-"));
  const github = await createFakeGitHub();
  const view = await github.createRepository({ owner: "example-org", name: "app", files: { "README.md": "# App\n" } });
  await github.createRepository({ owner: "example-org", name: "other", files: { "README.md": "# Other\n" } });
  const { id, installationId } = github.repository(view.fullName);
  const place = { installation: installationId ?? 0, repository: { id, owner: "example-org", name: "app" } };
  const socket = sockets.signer(stateDir);
  let running: { core: SignerCore; server: ReturnType<typeof buildSignerServer> } | null = null;
  let ahead = 0;

  async function stop(): Promise<void> {
    await running?.server.close();
    await running?.core.close();
    running = null;
  }

  const scene: Scene = {
    github,
    stateDir,
    socket,
    place,
    core() {
      if (running === null) {
        throw new Error("no signer runs");
      }
      return running.core;
    },
    later: (ms) => void (ahead += ms),
    client: (session = randomUUID()) => createSignerClient({ socket, session }),
    app: (session) => createGitHubApp({ url: github.url, signer: scene.client(session), log }),
    async start({ url = github.url, pem = github.privateKeyPem ?? "" } = {}) {
      const core = await openSigner({
        folder: join(stateDir, "signer"),
        url,
        appId: github.appId,
        key: createPemAppKey(pem),
        // GitHub's clock does not move with it: a JWT that is a few minutes off is still good.
        clock: { now: () => Date.now() + ahead },
        log,
      });
      const server = buildSignerServer(core, log);
      await mkdir(dirname(socket), { recursive: true });
      await rm(socket, { force: true });
      await server.listen({ path: socket });
      running = { core, server };
    },
    crash: stop,
    async close() {
      await stop();
      await github.close();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
  return scene;
}

/** The signer's real process, started as its supervisor starts it. */
export async function startSignerProcess(scene: Scene): Promise<ChildProcess> {
  const keyFile = join(scene.stateDir, "app.pem");
  await writeFile(keyFile, scene.github.privateKeyPem ?? "", { mode: 0o600 });
  const key = openSync(keyFile, "r");
  const child = spawn(process.execPath, [main, "process", "signer"], {
    env: { PATH: "/usr/bin:/bin" },
    stdio: ["pipe", "ignore", "inherit", "ignore", key],
  });
  closeSync(key);
  const settings = {
    stateDir: scene.stateDir,
    logLevel: "fatal",
    url: scene.github.url,
    appId: scene.github.appId,
  };
  child.stdin?.end(seal({ account: null, settings }));
  return child;
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
}

export async function eventually(isTrue: () => boolean): Promise<void> {
  for (const until = Date.now() + SOON_MS; !isTrue();) {
    if (Date.now() > until) {
      throw new Error(`still not so: ${isTrue.toString()}`);
    }
    await wait(20);
  }
}

/** A server in GitHub's place that keeps what it was asked, and answers as told. */
export async function createRecorder(
  answer: (request: IncomingMessage) => { status: number; body: unknown },
): Promise<{ url: string; asked: string[]; close: () => Promise<void> }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    const { status, body } = answer(request);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
