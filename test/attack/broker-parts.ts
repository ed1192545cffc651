import {
  type Budgets,
  limits,
  type Machine,
  type MachineId,
  type Run,
  type RunId,
  type SetupHost,
  type TaskSpec,
  type Wakeups,
} from "@mayfly/core";
import { type ChannelsDeps, createChannels } from "../../apps/orchestrator/src/broker/channels.ts";
import { buildGateway, fixedKeyIssuer } from "../../apps/orchestrator/src/broker/model-gateway.fixture.ts";
import { createSetupTunnels } from "../../apps/orchestrator/src/broker/setup-tunnels.ts";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { createDispatch } from "../../apps/orchestrator/src/runs/dispatch.ts";
import { createResultStore } from "../../apps/orchestrator/src/store/results.ts";
import type { TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import type { Script } from "../fakes/model/script.ts";
import { createFakeModel } from "../fakes/model/server.ts";
import { bootingMachine, queuedRun } from "./records.ts";

const none = async (): Promise<void> => undefined;

/**
 * The real broker's parts over a real store and before the scripted model, for whoever opens a way to its channels. Its
 * clock goes like the host's, and further where it is moved.
 */
export async function buildBroker(options: {
  redis: TestRedis;
  script: Script;
  /** What the stand-in for the source hands over. */
  pack: Uint8Array;
  /** Where each machine's channel has its socket; null for none. */
  folderOf: ChannelsDeps["folderOf"];
  budgets?: Budgets;
  wakeMachine?: Wakeups["wakeMachine"];
  recheck?: () => Promise<null>;
  setupHosts?: readonly SetupHost[];
  bounds?: Pick<ChannelsDeps, "patience" | "claimMs">;
}) {
  const { redis, script, pack, folderOf, budgets, wakeMachine = none, recheck = async () => null, bounds } = options;
  const { setupHosts = [] } = options;
  const modelKey = randomIds.secret("sk-test");
  const model = await createFakeModel({ apiKey: modelKey, script });
  const { log } = createLog({ level: "silent" });
  let ahead = 0;
  const clock = { now: () => Date.now() + ahead };
  const issuer = fixedKeyIssuer(modelKey);
  const parts = buildGateway({
    redis,
    url: model.url,
    clock,
    log,
    issuer,
    ...(budgets === undefined ? {} : { budgets }),
  });
  const { store, records, credentials, upstream, gateway, authorise } = parts;
  const results = createResultStore({ redis: redis.redis, prefix: parts.prefix, keepMs: limits.finishedRunMs });
  const wakeups = { wakeRun: none, wakeMachine, wakeLaunch: none };
  const ids = randomIds;
  const tunnels = createSetupTunnels({ authorise, records, hosts: setupHosts, clock, ids, log });
  const channels = createChannels({
    authorise,
    tunnels,
    dispatch: createDispatch({ store, records, wakeups, clock, ids, recheck, perInstallationMax: null }),
    records,
    results,
    sources: { openPack: async () => onePiece(pack) },
    gateway,
    onModelDone: (run, epoch) => void credentials.release(run, epoch),
    wakeups,
    clock,
    ids,
    log,
    folderOf,
    ...bounds,
  });

  return {
    store,
    records,
    results,
    gateway,
    tunnels,
    authorise,
    wakeups,
    channels,
    model,
    modelKey,
    clock,
    log,
    /** Moves the broker's clock. */
    pass: (ms: number) => void (ahead += ms),
    async addRun(task: Partial<TaskSpec> = {}): Promise<RunId> {
      const run = queuedRun(clock.now(), task);
      await store.commit([{ kind: "run", value: run, version: 0 }]);
      return run.id;
    },
    /** One that boots; its channel is not open yet. */
    async recordMachine(): Promise<MachineId> {
      const machine = bootingMachine(clock.now());
      await store.commit([{ kind: "machine", value: machine, version: 0 }]);
      return machine.id;
    },
    run: async (id: RunId): Promise<Run> => found(await store.loadRun(id)).value,
    machine: async (id: MachineId): Promise<Machine> => found(await store.loadMachine(id)).value,
    async close(): Promise<void> {
      await channels.close();
      await model.close();
      upstream.close();
    },
  };
}

async function* onePiece(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

function found<T>(value: T | null): T {
  if (value === null) {
    throw new Error("there is no such record");
  }
  return value;
}
