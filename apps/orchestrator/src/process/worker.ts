import { randomUUID } from "node:crypto";
import { type Config, createSecretSearch, type Provider } from "@mayfly/core";
import { buildService, type Service } from "../app.ts";
import { createBrokersClient } from "../broker/brokers-client.ts";
import { type BrokerClient, createBrokerClient } from "../broker/control-client.ts";
import { createGitHubApp } from "../github/app.ts";
import { listenOnSocket } from "../host/listen.ts";
import type { ServiceLog } from "../host/log.ts";
import { receiptKeysFolder } from "../signer/receipt-keys.ts";
import { createSignReceipt } from "../signer/seal-receipt.ts";
import { createSignerClient } from "../signer/signer-client.ts";
import type { RedisAddress } from "../store/connection.ts";
import type { MachineHost } from "./machine-host.ts";
import { openPostRoom, type PostRoom } from "./post-room.ts";
import { prepareParts } from "./service-parts.ts";
import { isSpread, type ServiceSettings } from "./settings.ts";
import { sockets } from "./sockets.ts";

/** A worker of the service. */
export interface Worker {
  readonly service: Service;
  readonly provider: Provider;
  /** Resolves once its signer answers. Throws SERVICE_NOT_RUNNING. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Puts a worker together, and serves brokers that ask for runs: those of this host over a socket, or those of all hosts
 * through Redis.
 */
export async function buildWorker(deps: {
  settings: ServiceSettings;
  redis: RedisAddress;
  webhookSecrets: readonly string[];
  /** Secrets of this process that no result may hold. */
  secrets: readonly string[];
  log: ServiceLog["log"];
  debugDump: boolean;
  onMachines: (host: MachineHost) => void;
}): Promise<Worker> {
  const { settings, redis, webhookSecrets, log, debugDump } = deps;
  const { config, image, aws } = settings;
  const { stateDir, sharedDir } = config;
  const room = isSpread(config) ? await openPostRoom(redis) : null;
  const spread = room === null ? {} : { broker: brokersIn(room) };
  const parts = await prepareParts(config, { image, aws, log, redis, debugDump, ...spread });
  deps.onMachines(parts.host);
  const signer = createSignerClient({ socket: sockets.signer(stateDir), session: randomUUID() });
  const searchForOwn = createSecretSearch([...deps.secrets]);
  const service = await buildService({
    ...parts.shared,
    github: createGitHubApp({ url: config.github.url, signer, log }),
    githubHost: new URL(config.github.webUrl).hostname,
    gitUrl: ({ repository }) => `${config.github.gitUrl}/${repository.owner}/${repository.name}.git`,
    webhookSecrets,
    checksTasks: config.github.checksTasks,
    looksForDeliveries: true,
    isOneOfMany: config.redisUrl !== null,
    findSecrets: async (texts, run) => [
      ...texts.flatMap((text) => searchForOwn(text)),
      ...(await parts.broker.findSecrets(texts, run)),
    ],
    signReceipt: createSignReceipt({ signer, folder: receiptKeysFolder(sharedDir) }),
    fleet: config.fleet,
    launchFailuresMax: null,
  });
  const served =
    room === null
      ? await serveHere(service, config)
      : await room.serve({ kind: "worker", name: settings.host, isNamed: false, app: service.dispatch });
  return {
    service,
    provider: parts.host.provider,
    ready: () => signer.ready(),
    async close() {
      // Whoever asks for a run from now on is answered by another worker, and by this one with none.
      await service.stopClaims();
      await served.close();
      await service.close();
      room?.close();
    },
  };
}

/** All brokers of the service, on whatever hosts they are. */
function brokersIn(room: PostRoom): BrokerClient {
  return createBrokersClient({
    present: () => room.present("broker"),
    clientOf: (name) => createBrokerClient(room.reach("broker", name)),
  });
}

async function serveHere(
  service: Service,
  { stateDir }: Pick<Config, "stateDir">,
): Promise<{ close(): Promise<void> }> {
  await listenOnSocket(service.dispatch, sockets.dispatch(stateDir), "group");
  return { close: async () => undefined };
}
