import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import { type Config, createSecretSearch } from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import { buildService } from "../app.ts";
import { controlSocket } from "../cli/control-client.ts";
import type { Terminal } from "../cli/terminal.ts";
import { createGitHubApp } from "../github/app.ts";
import { ownName } from "../host/account.ts";
import { listenOnSocket } from "../host/listen.ts";
import { createLog, type ServiceLog } from "../host/log.ts";
import { receiptKeysFolder } from "../signer/receipt-keys.ts";
import { createSignReceipt } from "../signer/seal-receipt.ts";
import { createSignerClient } from "../signer/signer-client.ts";
import { assertKeepsRecords, connectForCommands, type RedisAddress, waitUntilReady } from "../store/connection.ts";
import { embeddedRedisFolder } from "../store/embedded-redis.ts";
import { keepEmbeddedRedis } from "../store/kept-redis.ts";
import { lockStateFolder } from "../store/state-lock.ts";
import { buildReadiness } from "../web/readiness.ts";
import type { MachineHost } from "./machine-host.ts";
import { prepareParts } from "./service-parts.ts";
import type { ServiceSettings } from "./settings.ts";
import { sockets } from "./sockets.ts";

const REDIS_START_MS = 10_000;

/** What no setting reaches: for tests that look into a machine. */
export interface ServiceHooks {
  /** Lets the provider write a machine's memory out. */
  readonly debugDump: boolean;
  readonly onMachines: (host: MachineHost) => void;
}

/**
 * The service's process: takes webhooks until it is told to stop. Prints its addresses as one JSON line once it is ready.
 * Stopping leaves machines at work; the next start adopts them.
 *
 * @param readyForOthers Told once the state folder is ours and Redis answers: broker and signer may start.
 */
export async function runService(
  terminal: Terminal,
  settings: ServiceSettings,
  readyForOthers: () => void,
  hooks: ServiceHooks,
): Promise<number> {
  const { config, app, image, aws } = settings;
  const { stateDir } = config;
  // From the first moment: whoever is told to stop while it starts leaves nothing behind either.
  const stopped = new Promise<"stopped">((resolve) => terminal.onStop(() => resolve("stopped")));
  const { log, hide } = createLog({ level: config.logLevel });
  const webhookSecrets = app.webhookSecrets.map((secret) => secret.reveal());
  const awsSecrets = [aws?.secretAccessKey.reveal() ?? "", aws?.sessionToken?.reveal() ?? ""];
  [...webhookSecrets, config.redisUrl?.reveal() ?? "", ...awsSecrets].forEach(hide);
  const searchForOwn = createSecretSearch([...webhookSecrets, ...awsSecrets]);

  const unlock = await lockStateFolder(stateDir);
  const redis = await openRedis(config, log);
  try {
    const { debugDump } = hooks;
    const { host, broker, shared } = await prepareParts(config, { image, aws, log, redis: redis.address, debugDump });
    hooks.onMachines(host);
    const signer = createSignerClient({ socket: sockets.signer(stateDir), session: randomUUID() });
    const service = await buildService({
      ...shared,
      github: createGitHubApp({ url: config.github.url, signer, log }),
      githubHost: new URL(config.github.webUrl).hostname,
      gitUrl: ({ repository }) => `${config.github.gitUrl}/${repository.owner}/${repository.name}.git`,
      webhookSecrets,
      findSecrets: async (texts, run) => [
        ...texts.flatMap((text) => searchForOwn(text)),
        ...(await broker.findSecrets(texts, run)),
      ],
      signReceipt: createSignReceipt({ signer, folder: receiptKeysFolder(stateDir) }),
      fleet: config.fleet,
      launchFailuresMax: null,
    });
    await listenOnSocket(service.dispatch, sockets.dispatch(stateDir), "group");
    readyForOthers();
    const others = Promise.all([broker.ready(), signer.ready()]);
    others.catch(() => undefined);
    if ((await Promise.race([others, stopped])) === "stopped") {
      await service.close();
      return 0;
    }
    const readiness = buildReadiness(service.store);
    await service.start();
    await listenOnSocket(service.control, controlSocket(stateDir), "own uid");
    await service.webhook.listen({ ...config.listen.webhook });
    await readiness.listen({ ...config.listen.internal });
    terminal.stdout(
      `${JSON.stringify({
        webhook: `${addressOf(service.webhook)}/webhook`,
        internal: addressOf(readiness),
        control: controlSocket(stateDir),
        state: stateDir,
        user: ownName(),
        provider: host.provider.name,
        acceleration: host.provider.acceleration,
        image: host.provider.image,
        redis: redis.words,
        pid: process.pid,
      })}\n`,
    );
    // A store that cannot be brought back ends the service; whoever supervises it starts it again.
    await Promise.race([stopped, redis.failed]);
    log.info("stopping; machines at work are adopted by the next start");
    await readiness.close();
    await service.close();
  } finally {
    await redis.stop();
    await unlock();
  }
  return 0;
}

interface OpenRedis {
  readonly address: RedisAddress;
  readonly words: string;
  /** Rejects once it is ours and cannot be kept running. */
  readonly failed: Promise<never>;
  readonly stop: () => Promise<void>;
}

async function openRedis(config: Pick<Config, "redisUrl" | "stateDir">, log: ServiceLog["log"]): Promise<OpenRedis> {
  if (config.redisUrl === null) {
    const embedded = await keepEmbeddedRedis(embeddedRedisFolder(config.stateDir), {
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

function addressOf(app: FastifyInstance): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
