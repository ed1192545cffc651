import { type Clock, limits, type Store } from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { buildWebhookServer } from "../intake/webhook-server.ts";
import { createRecords } from "../runs/records.ts";
import { createWakeupQueue } from "../runs/wakeups.ts";
import { archiveFolder, createFolderArchive } from "../store/archive.ts";
import { connectForCommands, connectForQueue, type RedisAddress, waitUntilReady } from "../store/connection.ts";
import { createDeliveryStore } from "../store/deliveries.ts";
import { createStores, REDIS_PREFIX } from "../store/stores.ts";
import { buildControlApi } from "../web/control-api.ts";

const REDIS_START_MS = 10_000;

/** What a host that is no worker has: where webhooks are taken, and where operators ask. It works on nothing. */
export interface Front {
  readonly store: Store;
  readonly webhook: FastifyInstance;
  readonly control: FastifyInstance;
  close(): Promise<void>;
}

/** Throws STORE_UNAVAILABLE. */
export async function buildFront(deps: {
  redis: RedisAddress;
  sharedDir: string;
  webhookSecrets: readonly string[];
  clock: Clock;
  log: Logger;
}): Promise<Front> {
  const { clock, log } = deps;
  const redis = connectForCommands(deps.redis);
  await waitUntilReady(redis, REDIS_START_MS);
  const shared = { redis, prefix: REDIS_PREFIX };
  const { store, results } = createStores({ redis, clock });
  const deliveries = createDeliveryStore({ ...shared, keepMs: limits.deliveryMemoryMs, clock });
  const wakeups = createWakeupQueue({ connect: () => connectForQueue(deps.redis), prefix: REDIS_PREFIX, log });
  const records = createRecords({ store, clock });
  const archive = createFolderArchive(archiveFolder(deps.sharedDir));
  const webhook = buildWebhookServer({ secrets: deps.webhookSecrets, deliveries, wake: wakeups.wakeDelivery, log });
  const control = buildControlApi({ store, results, records, deliveries, wakeups, archive });
  return {
    store,
    webhook,
    control,
    async close() {
      await webhook.close();
      await control.close();
      await wakeups.close();
      redis.disconnect();
    },
  };
}
