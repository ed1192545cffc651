import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Machine, type MachineId, limits, type Run, type RunId, Secret } from "@mayfly/core";
import { createAuthorise } from "../../apps/orchestrator/src/broker/authorise.ts";
import { createChannels, type ChannelsDeps } from "../../apps/orchestrator/src/broker/channels.ts";
import type { DoorBounds } from "../../apps/orchestrator/src/broker/enrolment/door-bounds.ts";
import { type DoorKeys, loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { createMachineDoor, type MachineDoor } from "../../apps/orchestrator/src/broker/enrolment/machine-door.ts";
import { createCredentials } from "../../apps/orchestrator/src/broker/issuers/credentials.ts";
import { createFixedKeyIssuer } from "../../apps/orchestrator/src/broker/issuers/fixed-key.ts";
import { createModelGateway } from "../../apps/orchestrator/src/broker/model-gateway.ts";
import { createUpstream } from "../../apps/orchestrator/src/broker/upstream-request.ts";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../apps/orchestrator/src/host/log.ts";
import { createDispatch } from "../../apps/orchestrator/src/runs/dispatch.ts";
import { createRecords, type Records } from "../../apps/orchestrator/src/runs/records.ts";
import { createModelSpend } from "../../apps/orchestrator/src/store/model-spend.ts";
import { createRecordStore } from "../../apps/orchestrator/src/store/records.ts";
import { createResultStore } from "../../apps/orchestrator/src/store/results.ts";
import type { TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { bootingMachine, queuedRun } from "../attack/records.ts";
import { say } from "../fakes/model/script.ts";
import { createFakeModel } from "../fakes/model/server.ts";

/** What the stand-in for the source hands over: more than one packet. */
export const PACK = Buffer.alloc(300_000, "pack ");
const HOST = "127.0.0.1";

/** Where an agent dials, from which of this host's loopback addresses. */
interface Dial {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string;
}

export interface DoorBenchOptions {
  readonly bounds?: Partial<DoorBounds>;
  readonly patience?: NonNullable<ChannelsDeps["patience"]>;
  /** What happens between the door's judgement and the channel. */
  readonly beforeTake?: (machine: MachineId) => Promise<void>;
}

/** The real broker behind its real door, over a real store. Machines are addresses of the loopback network. */
export interface DoorBench {
  readonly door: MachineDoor;
  readonly keys: DoorKeys;
  readonly folder: string;
  readonly records: Records;
  /** What the provider's listing shows. */
  readonly listing: Map<string, MachineId>;
  readonly woken: MachineId[];
  dialFrom(address: string): Dial;
  /** A machine that boots at this address, its channel open. */
  addMachine(address: string): Promise<MachineId>;
  addRun(): Promise<RunId>;
  machine(id: MachineId): Promise<Machine>;
  run(id: RunId): Promise<Run>;
  closeChannel(id: MachineId): Promise<void>;
  /** Moves the broker's clock. */
  pass(ms: number): void;
  close(): Promise<void>;
}

export async function openDoor(redis: TestRedis, options: DoorBenchOptions = {}): Promise<DoorBench> {
  const { bounds = {}, patience, beforeTake } = options;
  const folder = await mkdtemp(join(tmpdir(), "mf-"));
  const modelKey = randomIds.secret("sk-test");
  const model = await createFakeModel({ apiKey: modelKey, script: [say("Fine."), say("Still fine.")] });
  const { log } = createLog({ level: "silent" });
  const prefix = redis.prefix();
  let now = Date.now();
  const clock = { now: () => now };
  const store = createRecordStore({ redis: redis.redis, prefix, keepFinishedMs: limits.finishedRunMs });
  const results = createResultStore({ redis: redis.redis, prefix, keepMs: limits.finishedRunMs });
  const records = createRecords({ store, clock });
  const woken: MachineId[] = [];
  const wakeups = {
    wakeRun: async () => undefined,
    wakeLaunch: async () => undefined,
    wakeMachine: async (id: MachineId) => void woken.push(id),
  };
  const fixed = { name: "static", key: new Secret(modelKey), header: "authorization", prefix: "Bearer " };
  const credentials = createCredentials({ issuer: createFixedKeyIssuer(fixed), clock, log });
  const upstream = createUpstream({ url: model.url });
  const free = { requests: null, inputTokens: null, outputTokens: null, microUsd: null };
  const gateway = createModelGateway({
    upstream,
    credentials,
    spend: createModelSpend({ redis: redis.redis, prefix, clock, keepMs: limits.finishedRunMs }),
    outputTokensMax: limits.modelOutputTokensMax,
    prices: { asOf: "2026-01-31", rows: [{ model: "*", price: { input: 10, cachedInput: 1, output: 1_000 } }] },
    budgets: { attempt: free, run: free, repository_day: free, installation_day: free },
    records,
    clock,
    log,
  });
  const channels = createChannels({
    authorise: createAuthorise({ store, clock }),
    dispatch: createDispatch({
      store,
      records,
      wakeups,
      clock,
      ids: randomIds,
      recheck: async () => null,
      perInstallationMax: null,
    }),
    records,
    results,
    sources: { openPack: async () => onePiece(PACK) },
    gateway,
    onModelDone: (run, epoch) => void credentials.release(run, epoch),
    wakeups,
    clock,
    ids: randomIds,
    log,
    folderOf: null,
    ...(patience === undefined ? {} : { patience }),
  });
  const listing = new Map<string, MachineId>();
  const keys = await loadDoorKeys(join(folder, "door"), now);
  const machineAt = async (address: string) => listing.get(address) ?? null;
  const take: typeof channels.take = async (machine, socket) => {
    await beforeTake?.(machine);
    return channels.take(machine, socket);
  };
  const door = await createMachineDoor({ keys, machineAt, store, records, wakeups, take, clock, log, bounds });
  const port = await door.listen({ host: HOST, port: 0 });

  return {
    door,
    keys,
    folder,
    records,
    listing,
    woken,
    dialFrom: (localAddress) => ({ host: HOST, port, localAddress }),
    async addMachine(address) {
      const machine = bootingMachine(now);
      await store.commit([{ kind: "machine", value: machine, version: 0 }]);
      listing.set(address, machine.id);
      await channels.ensureOpen(machine.id);
      return machine.id;
    },
    async addRun() {
      const run = queuedRun(now);
      await store.commit([{ kind: "run", value: run, version: 0 }]);
      return run.id;
    },
    machine: async (id) => found(await store.loadMachine(id)).value,
    run: async (id) => found(await store.loadRun(id)).value,
    closeChannel: (id) => channels.ensureClosed(id),
    pass: (ms) => void (now += ms),
    async close() {
      await door.close();
      await channels.close();
      await model.close();
      upstream.close();
      await rm(folder, { recursive: true, force: true });
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
