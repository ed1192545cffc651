import { setTimeout as wait } from "node:timers/promises";
import {
  type Budgets,
  type Clock,
  type Config,
  type Ids,
  type IssuerConfig,
  type MachineId,
  type RunId,
  type SetupHost,
  Secret,
} from "@mayfly/core";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import type { Reach } from "../host/socket-client.ts";
import { createDispatchClient } from "../runs/dispatch-client.ts";
import { createRecords } from "../runs/records.ts";
import { createWakeupQueue } from "../runs/wakeups.ts";
import { createPackReader } from "../source/sources.ts";
import { connectForCommands, connectForQueue, type RedisAddress, waitUntilReady } from "../store/connection.ts";
import { createStores, REDIS_PREFIX } from "../store/stores.ts";
import { createAuthorise } from "./authorise.ts";
import { createChannels } from "./channels.ts";
import { cutUnentitled } from "./cut-unentitled.ts";
import { buildBrokerControl } from "./control-server.ts";
import { loadDoorKeys } from "./enrolment/door-keys.ts";
import { createMachineLookup } from "./enrolment/lookup-client.ts";
import { createMachineDoor, type DoorDeps, type MachineDoor } from "./enrolment/machine-door.ts";
import { createCredentials } from "./issuers/credentials.ts";
import { createIssuer } from "./issuers/create-issuer.ts";
import { createModelGateway } from "./model-gateway.ts";
import { createSetupTunnels } from "./setup-tunnels.ts";
import { createUpstream } from "./upstream-request.ts";

const REDIS_START_MS = 30_000;
/** How often credentials of attempts that are over are looked for: a crash may have left some. */
const SWEEP_MS = 60_000;
/** How long a model call may go on after its attempt has lost its rights. */
const LOOK_MS = 5_000;
/** What the end of the process may take: its supervisor waits a little longer. */
const REVOKE_MS = 5_000;

/** An address of this host that the machines' network leads to. */
interface DoorPlace {
  readonly host: string;
  readonly port: number;
}

/** A model, and somebody to have a credential from. */
export type BrokerModel = Config["model"] & { readonly issuer: IssuerConfig };

export interface BrokerDeps {
  /** Packs of source, and the keys of the door: the same for every broker of a service. */
  readonly sharedDir: string;
  readonly redis: RedisAddress;
  /** The way to whoever gives runs to machines that ask. */
  readonly worker: Reach;
  readonly channelFolder: (machine: MachineId) => string;
  /** Where machines come in that have no socket of their own; absent where each has one. */
  readonly door?: DoorPlace;
  readonly model: BrokerModel;
  readonly budgets: Budgets;
  /** Hosts that set-up commands may reach. */
  readonly setupHosts: readonly SetupHost[];
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** How often what others left is looked for, ms; absent for what is usual. */
  readonly sweepMs?: number;
}

/** The broker: all that a machine can reach. */
export interface Broker {
  /** What the service asks of it. */
  readonly control: FastifyInstance;
  /** Listens for every machine there is: those at work when a broker before this one ended find it again. */
  start(): Promise<void>;
  /** Revokes every credential, within seconds; what could not be revoked is the next sweep's. */
  revokeAll(): Promise<void>;
  /**
   * Ends every channel and call under way; machines that come anew are let in again. For a broker that the service cannot
   * tell to end one.
   */
  cutAll(): Promise<void>;
  /** Ends every channel and revokes every credential. */
  close(): Promise<void>;
}

/** Puts the broker together. Throws STORE_UNAVAILABLE. */
export async function buildBroker(deps: BrokerDeps): Promise<Broker> {
  const { sharedDir, clock, ids, log, model } = deps;
  const redis = connectForCommands(deps.redis);
  await waitUntilReady(redis, REDIS_START_MS);
  const { store, results, spend } = createStores({ redis, clock });
  const records = createRecords({ store, clock });
  const wakeups = createWakeupQueue({ connect: () => connectForQueue(deps.redis), prefix: REDIS_PREFIX, log });
  const issuer = createIssuer(model.issuer, { clock, log });
  const credentials = createCredentials({ issuer, clock, log });
  const upstream = createUpstream({ url: model.url });
  const gateway = createModelGateway({
    upstream,
    credentials,
    spend,
    outputTokensMax: model.outputTokensMax,
    prices: model.prices,
    budgets: deps.budgets,
    records,
    clock,
    log,
  });
  const authorise = createAuthorise({ store, clock });
  const tunnels = createSetupTunnels({ authorise, records, hosts: deps.setupHosts, clock, ids, log });
  const channels = createChannels({
    authorise,
    dispatch: createDispatchClient(deps.worker),
    records,
    results,
    sources: createPackReader(sharedDir),
    gateway,
    tunnels,
    wakeups,
    clock,
    ids,
    log,
    folderOf: deps.door === undefined ? deps.channelFolder : null,
    onModelDone: (run, epoch) => void credentials.release(run, epoch),
  });
  const machineAt = createMachineLookup(deps.worker);
  const door =
    deps.door === undefined
      ? null
      : await openDoor(sharedDir, { store, records, wakeups, machineAt, take: channels.take, clock, log });
  // A key of the operator's is good whether or not a call was made with it, and the Admin key most of all.
  const standing = Object.values(model.issuer).flatMap((value) => (value instanceof Secret ? [value.reveal()] : []));
  const control = buildBrokerControl({
    channels: {
      ensureOpen: channels.ensureOpen,
      async ensureClosed(id) {
        await channels.ensureClosed(id);
        const machine = (await store.loadMachine(id))?.value;
        if (machine !== undefined && "claim" in machine && machine.claim !== null) {
          void credentials.release(machine.claim.run, machine.claim.epoch);
        }
      },
    },
    secrets: (run) => [...new Set([...standing, ...credentials.secrets(run)])],
  });

  async function isLive(id: RunId, epoch: number): Promise<boolean> {
    const run = (await store.loadRun(id))?.value;
    return run?.phase === "running" && run.attempt.epoch === epoch && run.attempt.frozenAt === null;
  }

  /** Another broker may have been told to close it, or it was opened again: the machine came once more. */
  async function closeLeftChannels(): Promise<void> {
    for (const id of channels.machines()) {
      const phase = (await store.loadMachine(id))?.value.phase ?? "gone";
      if (phase === "destroying" || phase === "gone") {
        await channels.ensureClosed(id);
      }
    }
  }

  function sweep(): void {
    credentials.sweep(isLive).catch((err: unknown) => log.warn({ err }, "credentials could not be swept yet"));
    closeLeftChannels().catch((err: unknown) => log.warn({ err }, "channels could not be looked through yet"));
  }

  function look(): void {
    for (const calls of [gateway, tunnels]) {
      cutUnentitled({ calls, authorise }).catch((err: unknown) =>
        log.warn({ err }, "what machines have under way could not be looked at"),
      );
    }
    // Its end may have come to another broker.
    credentials
      .releaseEnded(isLive)
      .catch((err: unknown) => log.warn({ err }, "attempts that have credentials could not be looked at"));
  }

  async function revokeAll(): Promise<void> {
    await Promise.race([credentials.close(), wait(REVOKE_MS, undefined, { ref: false })]);
  }

  let sweeping: NodeJS.Timeout | null = null;
  let looking: NodeJS.Timeout | null = null;

  return {
    control,
    async start() {
      sweeping = setInterval(sweep, deps.sweepMs ?? SWEEP_MS);
      sweep();
      looking = setInterval(look, LOOK_MS);
      const machines = await store.listLiveMachines();
      await Promise.all(
        machines.map(({ id }) =>
          // One that has no folder yet is not launched yet, and is opened by whoever launches it.
          channels.ensureOpen(id).catch((err: unknown) => log.debug({ machine: id, err }, "a channel is not open yet")),
        ),
      );
      if (door !== null && deps.door !== undefined) {
        await door.listen(deps.door);
      }
    },
    revokeAll,
    cutAll: () => channels.close(),
    async close() {
      clearInterval(sweeping ?? undefined);
      clearInterval(looking ?? undefined);
      await control.close();
      await door?.close();
      await channels.close();
      await revokeAll();
      upstream.close();
      await wakeups.close();
      redis.disconnect();
    },
  };
}

/** Its keys are the brokers' own, in a folder that they made and nobody else enters. */
async function openDoor(sharedDir: string, deps: Omit<DoorDeps, "keys">): Promise<MachineDoor> {
  const keys = await loadDoorKeys(`${sharedDir}/broker/door`, deps.clock.now());
  deps.log.info({ pins: keys.pins.join(",") }, "machines are let in who know one of these pins");
  return createMachineDoor({ ...deps, keys });
}
