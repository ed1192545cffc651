import type { Channels } from "@mayfly/core";
import type { ServiceDeps } from "../app.ts";
import { type BrokerClient, createBrokerClient } from "../broker/control-client.ts";
import type { QemuProvider } from "../fleet/providers/qemu/qemu-provider.ts";
import { systemClock } from "../host/clock.ts";
import { randomIds } from "../host/ids.ts";
import { overSocket } from "../host/socket-client.ts";
import type { RedisAddress } from "../store/connection.ts";
import { type MachineHost, type MachinesOptions, prepareMachines } from "./machine-host.ts";
import type { ServiceConfig } from "./settings.ts";
import { sockets } from "./sockets.ts";

type Shared =
  | "stateDir"
  | "sharedDir"
  | "redis"
  | "clock"
  | "ids"
  | "log"
  | "provider"
  | "notices"
  | "release"
  | "channels"
  | "confine"
  | "removeConfined"
  | "modelDefault"
  | "budgets"
  | "prices"
  | "policy";

/** What a service is made of whether there is GitHub or not. */
export interface ServiceParts {
  readonly host: MachineHost;
  readonly broker: BrokerClient;
  readonly shared: Pick<ServiceDeps, Shared>;
}

/**
 * Makes this host ready for machines. Throws what `prepareMachines` does; the broker need not be there yet.
 *
 * @param options.broker Absent for the one on this host.
 */
export async function prepareParts(
  config: ServiceConfig,
  options: Omit<MachinesOptions, "stateDir"> & { redis: RedisAddress; broker?: BrokerClient },
): Promise<ServiceParts> {
  const { stateDir, sharedDir, model, budgets, policy } = config;
  const { log, redis } = options;
  const host = await prepareMachines(config, { ...options, stateDir });
  const broker = options.broker ?? createBrokerClient(overSocket(sockets.broker(stateDir)));
  const shared = {
    stateDir,
    sharedDir,
    redis,
    clock: systemClock,
    ids: randomIds,
    log,
    provider: host.provider,
    notices: host.notices,
    release: host.release,
    channels: host.qemu === null ? broker : channelsOf(host.qemu, broker),
    confine: host.confine,
    removeConfined: host.removeConfined,
    modelDefault: model.default,
    budgets,
    prices: model.prices,
    policy,
  };
  return { host, broker, shared };
}

/** The broker's channels, each in the folder that this host makes for it. */
function channelsOf(provider: QemuProvider, broker: Channels): Channels {
  return {
    async ensureOpen(id) {
      await provider.ensureChannelFolder(id);
      await broker.ensureOpen(id);
    },
    ensureClosed: (id) => broker.ensureClosed(id),
  };
}
