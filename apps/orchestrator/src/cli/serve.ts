import { chmodSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { AppError, type Config, type GitHubAppConfig } from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import { buildService } from "../app.ts";
import { createGitHubApp } from "../github/app.ts";
import { systemClock } from "../host/clock.ts";
import { dropRoot } from "../host/drop-root.ts";
import { randomIds } from "../host/ids.ts";
import { preloadLateModules } from "../host/preload.ts";
import { createLog, type ServiceLog } from "../host/log.ts";
import { assertKeepsRecords, connectForCommands, type RedisAddress, waitUntilReady } from "../store/connection.ts";
import { keepEmbeddedRedis } from "../store/kept-redis.ts";
import { lockStateFolder } from "../store/state-lock.ts";
import { buildReadiness } from "../web/readiness.ts";
import { controlSocket } from "./control-client.ts";
import { type MachineHost, prepareImage, prepareMachines } from "./machine-host.ts";
import { createProgress } from "./progress.ts";
import { loadSettings, requireModel } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const REDIS_START_MS = 10_000;

/** What no setting reaches: for tests that look into a machine. */
interface ServeOptions {
  /** Lets the provider write a machine's memory out. */
  readonly debugDump: boolean;
  readonly onMachines: (host: MachineHost) => void;
}

/**
 * `mayfly serve`: takes webhooks until it is told to stop. Prints its addresses as one JSON line once it is ready.
 * Stopping leaves machines at work; the next start adopts them.
 */
export async function serve(
  terminal: Terminal,
  flags: { config?: string; state?: string },
  options: ServeOptions = { debugDump: false, onMachines: () => undefined },
): Promise<number> {
  const config = loadSettings(terminal, flags);
  const app = requireApp(config);
  const model = requireModel(config);
  const privateKey = readPrivateKey(app);
  const log = createLog({ level: config.logLevel });
  hideSecrets(log, config, privateKey);

  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
  const image = await prepareImage(config, createProgress(terminal));
  await preloadLateModules();
  const account = dropRoot([config.stateDir]);
  const unlock = await lockStateFolder(config.stateDir);
  const redis = await openRedis(config, log.log);
  try {
    const { debugDump } = options;
    const host = await prepareMachines(config, { stateDir: config.stateDir, image, log: log.log, debugDump });
    options.onMachines(host);
    const github = createGitHubApp({
      url: config.github.url,
      appId: String(app.id),
      privateKey: () => privateKey,
      log: log.log,
    });
    const service = await buildService({
      stateDir: config.stateDir,
      redis: redis.address,
      clock: systemClock,
      ids: randomIds,
      log: log.log,
      provider: host.provider,
      channelFolder: (id) => host.provider.channelFolder(id),
      confine: host.confine,
      removeConfined: host.removeConfined,
      model: { url: config.model.url, credential: () => model },
      modelDefault: config.model.default,
      github,
      githubHost: new URL(config.github.webUrl).hostname,
      gitUrl: ({ repository }) => `${config.github.gitUrl}/${repository.owner}/${repository.name}.git`,
      webhookSecrets: app.webhookSecrets.map((secret) => secret.reveal()),
      secrets: () => [model, ...app.webhookSecrets.map((secret) => secret.reveal())],
      policy: config.policy,
      machinesMax: config.fleet.machinesMax,
      warm: config.fleet.warm,
      launchFailuresMax: null,
    });
    const readiness = buildReadiness(service.store);
    await service.start();
    await listenOnSocket(service.control, controlSocket(config.stateDir));
    await service.webhook.listen({ ...config.listen.webhook });
    await readiness.listen({ ...config.listen.internal });
    terminal.stdout(
      `${JSON.stringify({
        webhook: `${addressOf(service.webhook)}/webhook`,
        internal: addressOf(readiness),
        control: controlSocket(config.stateDir),
        state: config.stateDir,
        user: account.name,
        provider: host.provider.name,
        acceleration: host.provider.acceleration,
        image: image.digest,
        redis: redis.words,
        pid: process.pid,
      })}\n`,
    );
    // A store that cannot be brought back ends the service; whoever supervises it starts it again.
    await Promise.race([new Promise<void>((resolve) => terminal.onStop(resolve)), redis.failed]);
    log.log.info("stopping; machines at work are adopted by the next start");
    await readiness.close();
    await service.close();
  } finally {
    await redis.stop();
    await unlock();
  }
  return 0;
}

function requireApp(config: Config): GitHubAppConfig {
  if (config.github.app === null) {
    throw new AppError(
      "CONFIG_INVALID",
      "no GitHub App is set: MAYFLY_GITHUB_APP_ID, MAYFLY_GITHUB_PRIVATE_KEY_FILE and MAYFLY_WEBHOOK_SECRET are needed to take webhooks",
    );
  }
  return config.github.app;
}

/** Read while we still may: the file is the operator's, not the service user's. */
function readPrivateKey(app: GitHubAppConfig): string {
  try {
    return readFileSync(app.privateKeyFile, "utf8");
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `the App's private key ${app.privateKeyFile} cannot be read`, { cause });
  }
}

function hideSecrets(log: ServiceLog, config: Config, privateKey: string): void {
  log.hide(privateKey);
  log.hide(requireModel(config));
  for (const secret of config.github.app?.webhookSecrets ?? []) {
    log.hide(secret.reveal());
  }
  if (config.redisUrl !== null) {
    log.hide(config.redisUrl.reveal());
  }
}

interface OpenRedis {
  readonly address: RedisAddress;
  readonly words: string;
  /** Rejects once it is ours and cannot be kept running. */
  readonly failed: Promise<never>;
  readonly stop: () => Promise<void>;
}

async function openRedis(config: Config, log: ServiceLog["log"]): Promise<OpenRedis> {
  if (config.redisUrl === null) {
    const embedded = await keepEmbeddedRedis(`${config.stateDir}/redis`, {
      onRestarted: () => log.warn("the embedded Redis had ended and was started again"),
    });
    const { address, failed, stop } = embedded;
    return { address, words: embedded.adopted ? "embedded, adopted" : "embedded", failed, stop };
  }
  const address = { url: config.redisUrl.reveal() };
  const redis = connectForCommands(address);
  try {
    await waitUntilReady(redis, REDIS_START_MS);
    await assertKeepsRecords(redis);
  } finally {
    redis.disconnect();
  }
  // Somebody else's Redis comes back by somebody else's doing.
  const failed = new Promise<never>(() => undefined);
  return { address, words: "external", failed, stop: async () => undefined };
}

async function listenOnSocket(app: FastifyInstance, path: string): Promise<void> {
  rmSync(path, { force: true });
  await app.listen({ path });
  chmodSync(path, 0o600);
}

function addressOf(app: FastifyInstance): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
