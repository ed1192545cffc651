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
import { Secret } from "@mayfly/core";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { createGitHubApp, type GitHubApp, type Place } from "../../../apps/orchestrator/src/github/app.ts";
import { seal } from "../../../apps/orchestrator/src/process/handover.ts";
import { sockets } from "../../../apps/orchestrator/src/process/sockets.ts";
import { type AppKey, createPemAppKey } from "../../../apps/orchestrator/src/signer/app-key.ts";
import { openSigner, type SignerCore } from "../../../apps/orchestrator/src/signer/open-signer.ts";
import { createSignerClient } from "../../../apps/orchestrator/src/signer/signer-client.ts";
import { buildSignerServer } from "../../../apps/orchestrator/src/signer/signer-server.ts";
import type { Signer } from "../../../apps/orchestrator/src/signer/signer.ts";
import type { AppKeySettings } from "../../../apps/orchestrator/src/process/settings.ts";
import { createKmsClient, openKmsAppKey } from "../../../apps/orchestrator/src/signer/kms-app-key.ts";
import { createFakeGitHub, type FakeGitHub } from "../../fakes/github/server.ts";
import { type KmsFake, startKmsFake } from "../../fakes/kms/server.ts";

const main = fileURLToPath(new URL("../../../apps/orchestrator/src/main.ts", import.meta.url));
/** A process of ours that loads its code on a busy host. */
const SOON_MS = 30_000;
const { log } = createLog({ level: "silent" });

/** Where the App's key is: whatever holds of a signer holds with either. */
export const keyKinds = ["file", "kms"] as const;
type KeyKind = (typeof keyKinds)[number];

/** A signer on its socket, between a stand-in for GitHub and whoever asks. */
export interface Scene {
  readonly github: FakeGitHub;
  /** Null where the key is in a file. */
  readonly kms: KmsFake | null;
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

export async function createScene(kind: KeyKind = "file"): Promise<Scene> {
  const kms = kind === "kms" ? await startKmsFake() : null;
  const stateDir = await mkdtemp(join(tmpdir(), "mf-signer-"));
  const github = await createFakeGitHub();
  const view = await github.createRepository({ owner: "example-org", name: "app", files: { "README.md": "# App\n" } });
  await github.createRepository({ owner: "example-org", name: "other", files: { "README.md": "# Other\n" } });
  await github.createRepository({ owner: "example-org", name: ".github", files: { "README.md": "# Defaults\n" } });
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
    kms,
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
        key: await openKey(kms, pem),
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
      await kms?.close();
      await github.close();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
  return scene;
}

/** With KMS: as if it had been imported there. */
async function openKey(kms: KmsFake | null, pem: string): Promise<AppKey> {
  if (kms === null) {
    return createPemAppKey(pem);
  }
  const { region, url: endpoint, credentials } = kms;
  return openKmsAppKey({ kms: createKmsClient({ region, endpoint, credentials }), arn: kms.addKey({ pem }) });
}

/** The signer's real process, started as its supervisor starts it. */
export async function startSignerProcess(scene: Scene): Promise<ChildProcess> {
  const { descriptor, key } = await handedKey(scene);
  const child = spawn(process.execPath, [main, "process", "signer"], {
    env: { PATH: "/usr/bin:/bin" },
    stdio: ["pipe", "ignore", "inherit", "ignore", ...(descriptor === null ? [] : [descriptor])],
  });
  if (descriptor !== null) {
    closeSync(descriptor);
  }
  const settings = {
    stateDir: scene.stateDir,
    logLevel: "fatal",
    url: scene.github.url,
    appId: scene.github.appId,
    key,
  };
  child.stdin?.end(seal({ account: null, settings }));
  return child;
}

async function handedKey({
  kms,
  github,
  stateDir,
}: Scene): Promise<{ descriptor: number | null; key: AppKeySettings }> {
  const pem = github.privateKeyPem ?? "";
  if (kms !== null) {
    const { accessKeyId, secretAccessKey } = kms.credentials;
    const aws = { accessKeyId, secretAccessKey: new Secret(secretAccessKey), sessionToken: null };
    const key = { kind: "kms", arn: kms.addKey({ pem }), region: kms.region, endpoint: kms.url, aws } as const;
    return { descriptor: null, key };
  }
  const file = join(stateDir, "app.pem");
  await writeFile(file, pem, { mode: 0o600 });
  return { descriptor: openSync(file, "r"), key: { kind: "file" } };
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
