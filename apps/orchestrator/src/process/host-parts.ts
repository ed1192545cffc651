import type { Provider, Role, Store } from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import { createBrokerClient } from "../broker/control-client.ts";
import { systemClock } from "../host/clock.ts";
import { overSocket } from "../host/socket-client.ts";
import type { ReadinessChecks } from "../web/readiness.ts";
import { buildFront } from "./front.ts";
import type { ServiceSettings } from "./settings.ts";
import { sockets } from "./sockets.ts";
import { buildWorker } from "./worker.ts";

/** What the service's process of one host does, by its roles. */
export interface HostParts {
  readonly store: Store;
  readonly webhook: FastifyInstance;
  readonly control: FastifyInstance;
  /** Null where this host makes no machines. */
  readonly provider: Provider | null;
  /** The other processes of this host that its roles need. */
  readonly checks: ReadinessChecks;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** A worker where the roles say so; else only what takes webhooks and answers operators. */
export async function buildHost(deps: Parameters<typeof buildWorker>[0]): Promise<HostParts> {
  const { settings, redis, webhookSecrets, log } = deps;
  const { roles, sharedDir } = settings.config;
  if (!roles.includes("worker")) {
    const front = await buildFront({ redis, sharedDir, webhookSecrets, clock: systemClock, log });
    return { ...front, provider: null, checks: checksOf(settings), start: async () => undefined };
  }
  const worker = await buildWorker(deps);
  const { service, provider } = worker;
  return {
    store: service.store,
    webhook: service.webhook,
    control: service.control,
    provider,
    checks: { ...checksOf(settings), worker: worker.ready },
    start: service.start,
    close: worker.close,
  };
}

/** A broker of this host is asked over its socket, however it is asked by others. */
function checksOf({ config }: ServiceSettings): Partial<Record<Role, () => Promise<unknown>>> {
  const broker = createBrokerClient(overSocket(sockets.broker(config.stateDir)));
  return config.roles.includes("broker") ? { broker: () => broker.ready() } : {};
}
