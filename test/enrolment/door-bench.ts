import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Machine, MachineId, Run, RunId } from "@mayfly/core";
import type { ChannelsDeps } from "../../apps/orchestrator/src/broker/channels.ts";
import type { DoorBounds } from "../../apps/orchestrator/src/broker/enrolment/door-bounds.ts";
import { type DoorKeys, loadDoorKeys } from "../../apps/orchestrator/src/broker/enrolment/door-keys.ts";
import { createMachineDoor, type MachineDoor } from "../../apps/orchestrator/src/broker/enrolment/machine-door.ts";
import type { Records } from "../../apps/orchestrator/src/runs/records.ts";
import type { TestRedis } from "../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { buildBroker } from "../attack/broker-parts.ts";
import { say } from "../fakes/model/script.ts";

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
  const woken: MachineId[] = [];
  const parts = await buildBroker({
    redis,
    script: [say("Fine."), say("Still fine.")],
    pack: PACK,
    folderOf: null,
    wakeMachine: async (id) => void woken.push(id),
    bounds: patience === undefined ? {} : { patience },
  });
  const { store, records, wakeups, channels, clock, log, pass, addRun, machine, run } = parts;
  const listing = new Map<string, MachineId>();
  const keys = await loadDoorKeys(join(folder, "door"), clock.now());
  const machineAt = async (address: string) => listing.get(address) ?? null;
  const take: typeof channels.take = async (id, socket) => {
    await beforeTake?.(id);
    return channels.take(id, socket);
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
    addRun,
    machine,
    run,
    pass,
    dialFrom: (localAddress) => ({ host: HOST, port, localAddress }),
    async addMachine(address) {
      const id = await parts.recordMachine();
      listing.set(address, id);
      await channels.ensureOpen(id);
      return id;
    },
    closeChannel: (id) => channels.ensureClosed(id),
    async close() {
      await door.close();
      await parts.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
