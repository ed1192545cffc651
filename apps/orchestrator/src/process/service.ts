import type { AddressInfo } from "node:net";
import type { Config } from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import type { Redis } from "ioredis";
import { controlSocket } from "../cli/control-client.ts";
import type { Terminal } from "../cli/terminal.ts";
import { ownName } from "../host/account.ts";
import { listenOnSocket } from "../host/listen.ts";
import { createLog, type ServiceLog } from "../host/log.ts";
import {
  assertKeepsRecords,
  assertTakesWrites,
  connectForCommands,
  type RedisAddress,
  waitUntilReady,
} from "../store/connection.ts";
import { embeddedRedisFolder } from "../store/embedded-redis.ts";
import { keepEmbeddedRedis } from "../store/kept-redis.ts";
import { claimSharedFolder } from "../store/shared-folder.ts";
import { lockStateFolder } from "../store/state-lock.ts";
import { REDIS_PREFIX } from "../store/stores.ts";
import { buildReadiness } from "../web/readiness.ts";
import { buildHost, type HostParts } from "./host-parts.ts";
import type { MachineHost } from "./machine-host.ts";
import type { ServiceConfig, ServiceSettings } from "./settings.ts";

const REDIS_START_MS = 10_000;

/** What no setting reaches: for tests that look into a machine. */
export interface ServiceHooks {
  /** Lets the provider write a machine's memory out. */
  readonly debugDump: boolean;
  readonly onMachines: (host: MachineHost) => void;
}

/**
 * The service's process: what this host is, but for its broker, until it is told to stop. Prints its addresses as one JSON
 * line once it is ready. Stopping leaves machines at work; the next start adopts them.
 *
 * @param readyForOthers Told once the state folder is ours and Redis answers: broker and signer may start.
 */
export async function runService(
  terminal: Terminal,
  settings: ServiceSettings,
  readyForOthers: () => void,
  hooks: ServiceHooks,
): Promise<number> {
  const { config, aws } = settings;
  const { stateDir } = config;
  // From the first moment: whoever is told to stop while it starts leaves nothing behind either.
  const stopped = new Promise<"stopped">((resolve) => terminal.onStop(() => resolve("stopped")));
  const { log, hide } = createLog({ level: config.logLevel });
  const webhookSecrets = config.github.webhookSecrets.map((secret) => secret.reveal());
  const awsSecrets = [aws?.secretAccessKey.reveal() ?? "", aws?.sessionToken?.reveal() ?? ""];
  [...webhookSecrets, config.redisUrl?.reveal() ?? "", ...awsSecrets].forEach(hide);

  const unlock = await lockStateFolder(stateDir);
  const redis = await openRedis(config, log);
  try {
    await assertShares(config, redis.own);
    const secrets = [...webhookSecrets, ...awsSecrets];
    const parts = await buildHost({ settings, redis: redis.address, webhookSecrets, secrets, log, ...hooks });
    readyForOthers();
    const others = Promise.all(Object.values(parts.checks).map((check) => check()));
    others.catch(() => undefined);
    if ((await Promise.race([others, stopped])) === "stopped") {
      await parts.close();
      return 0;
    }
    await parts.start();
    const listening = await listen(parts, config, redis.own);
    const { provider } = parts;
    terminal.stdout(
      `${JSON.stringify({
        roles: config.roles,
        ...listening.addresses,
        state: stateDir,
        user: ownName(),
        provider: provider?.name ?? null,
        acceleration: provider?.acceleration ?? null,
        image: provider?.image ?? null,
        redis: redis.words,
        pid: process.pid,
      })}\n`,
    );
    // A store that cannot be brought back ends the service; whoever supervises it starts it again.
    await Promise.race([stopped, redis.failed]);
    log.info("stopping; machines at work are adopted by the next start");
    await listening.close();
    await parts.close();
  } finally {
    await redis.stop();
    await unlock();
  }
  return 0;
}

/** With every other host: whoever only takes webhooks has nothing to share, and a Redis of our own is this host's alone. */
async function assertShares({ roles, redisUrl, sharedDir: folder }: ServiceConfig, redis: Redis): Promise<void> {
  if (redisUrl !== null && roles.some((role) => role !== "intake")) {
    await claimSharedFolder({ redis, prefix: REDIS_PREFIX, folder });
  }
}

/** Opens what this host's roles are reached by, and no more. */
async function listen(parts: HostParts, { roles, listen: places, stateDir }: ServiceConfig, redis: Redis) {
  const write = () => assertTakesWrites(redis, REDIS_PREFIX);
  const readiness = buildReadiness({ store: parts.store, write, roles, checks: parts.checks });
  if (roles.includes("web")) {
    await listenOnSocket(parts.control, controlSocket(stateDir), "own uid");
  }
  if (roles.includes("intake")) {
    await parts.webhook.listen({ ...places.webhook });
  }
  await readiness.listen({ ...places.internal });
  return {
    addresses: {
      webhook: roles.includes("intake") ? `${addressOf(parts.webhook)}/webhook` : null,
      internal: addressOf(readiness),
      control: roles.includes("web") ? controlSocket(stateDir) : null,
    },
    close: () => readiness.close(),
  };
}

interface OpenRedis {
  readonly address: RedisAddress;
  /** A connection for what is asked before and beside the work. */
  readonly own: Redis;
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
    const { address, failed } = embedded;
    const own = connectForCommands(address);
    const words = embedded.adopted ? "embedded, adopted" : "embedded";
    const stop = async () => {
      own.disconnect();
      await embedded.stop();
    };
    return { address, own, words, failed, stop };
  }
  const address = { url: config.redisUrl.reveal() };
  const own = connectForCommands(address);
  try {
    await waitUntilReady(own, REDIS_START_MS);
    await assertKeepsRecords(own);
  } catch (error) {
    own.disconnect();
    throw error;
  }
  // Somebody else's Redis comes back by somebody else's doing.
  const failed = new Promise<never>(() => undefined);
  return { address, own, words: "external", failed, stop: async () => own.disconnect() };
}

function addressOf(app: FastifyInstance): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
