import {
  AppError,
  type Channels,
  type Digest,
  type FleetSettings,
  type KnownMachine,
  type Launch,
  type LaunchId,
  limits,
  type Machine,
  type MachineId,
  type PresentMachine,
  type Provider,
  requestRun,
  type Run,
  type Store,
  defaultTask,
} from "@mayfly/core";
import { createLog } from "../host/log.ts";
import { randomIds } from "../host/ids.ts";
import { createRecords, type Records } from "../runs/records.ts";
import { createRecordStore } from "../store/records.ts";
import type { TestRedis } from "../store/test-redis.fixture.ts";
import { createFleet, type Fleet } from "./controller.ts";
import { createLaunchSteps, type LaunchSteps } from "./launch-steps.ts";
import { createMachineSteps, type MachineSteps } from "./machine-steps.ts";

const DIGEST = `sha256:${"0".repeat(64)}` as Digest;

const fleetSettings: FleetSettings = {
  machinesMax: 10,
  machinesPerInstallationMax: null,
  launchesPerHourMax: 100,
  money: null,
  warm: 0,
  warmMax: 0,
  warmSchedule: [],
  runMsMax: limits.runMsMax,
};

/** A provider that keeps machines in memory, and fails when it is told to. */
interface BenchProvider extends Provider {
  readonly there: Map<MachineId, PresentMachine>;
  /** What it was told of machines that it was to end. */
  readonly known: Map<MachineId, KnownMachine>;
  /** Launches as they were asked for, in order, repeats too. */
  readonly asked: Launch[];
  /** Called before a launch makes anything, and after. */
  onLaunch: (launch: Launch, when: "before" | "after") => Promise<void> | void;
  onList: () => Promise<void> | void;
  onDestroy: (id: MachineId) => Promise<void> | void;
  wait: string | null;
  /** What steady machines have to wait for. */
  waitSteady: string | null;
  held: string | null;
  /** Machines that were taken back. */
  readonly taken: Set<MachineId>;
  spec: Digest;
  /** Machines that a launch is not given. */
  lacking: number;
}

function createBenchProvider(launchCountMax: number): BenchProvider {
  const provider: BenchProvider = {
    name: "bench",
    acceleration: "cloud",
    image: DIGEST,
    spec: DIGEST,
    launchCountMax,
    listingLagMs: 0,
    bootMs: limits.bootMs,
    there: new Map(),
    known: new Map(),
    asked: [],
    onLaunch: () => undefined,
    onList: () => undefined,
    onDestroy: () => undefined,
    wait: null,
    waitSteady: null,
    held: null,
    taken: new Set(),
    lacking: 0,
    planLaunch(count, steady = false) {
      const wait = steady ? provider.waitSteady : provider.wait;
      return wait === null ? { plan: { zone: "a" }, count, interruptible: !steady } : { wait, until: 0 };
    },
    heldUp: () => (provider.held === null ? null : { wait: provider.held, until: 0 }),
    isTakenBack: (id) => provider.taken.has(id),
    async ensureLaunched(launch) {
      provider.asked.push(launch);
      await provider.onLaunch(launch, "before");
      const count = Math.max(0, launch.count - provider.lacking);
      const machines = Array.from({ length: count }, (_, index) => machineOfLaunch(launch.id, index));
      for (const id of machines) {
        provider.there.set(id, { id, launch: launch.id, running: true, address: null, spec: launch.spec });
      }
      await provider.onLaunch(launch, "after");
      const lacking = launch.count - count;
      return { machines, missing: lacking === 0 ? [] : [{ count: lacking, reason: "no capacity" }] };
    },
    async list() {
      await provider.onList();
      return [...provider.there.values()];
    },
    readConsole: async () => "",
    async ensureDestroyed(id, known) {
      if (known !== undefined) {
        provider.known.set(id, known);
      }
      await provider.onDestroy(id);
      provider.there.delete(id);
      return { at: 0, checks: [{ what: "machine", absent: true }] };
    },
  };
  return provider;
}

/** The name of a launch's machine by its place in it. */
function machineOfLaunch(id: LaunchId, index: number): MachineId {
  return `mch_${id.slice(4, -1)}${index}` as MachineId;
}

/** The real control of a fleet and the real store, and a provider that does as it is told. */
export interface FleetBench {
  readonly store: Store;
  readonly records: Records;
  readonly provider: BenchProvider;
  readonly fleet: Fleet;
  readonly launches: LaunchSteps;
  readonly stepMachine: MachineSteps["stepMachine"];
  /** What the brokers are asked; does nothing unless told. */
  readonly channels: { -readonly [Name in keyof Channels]: Channels[Name] };
  /** Ids whose steps were asked for later. */
  readonly woken: string[];
  /** The lines of the log. */
  readonly said: string[];
  pass(ms: number): void;
  now(): number;
  /** As a service that begins anew, or another beside the first. */
  another(settings?: Partial<FleetSettings>): Fleet;
  /** Looks, then takes every step that is open. */
  turn(fleet?: Fleet): Promise<void>;
  addRun(): Promise<Run>;
  machines(): Promise<Machine[]>;
}

export function openFleetBench(
  redis: TestRedis,
  options: { settings?: Partial<FleetSettings>; launchCountMax?: number; launchFailuresMax?: number } = {},
): FleetBench {
  let now = Date.UTC(2026, 0, 5, 12);
  const clock = { now: () => now };
  const prefix = redis.prefix();
  const store = createRecordStore({ redis: redis.redis, prefix, keepFinishedMs: limits.finishedRunMs });
  const records = createRecords({ store, clock });
  const provider = createBenchProvider(options.launchCountMax ?? 5);
  const woken: string[] = [];
  const wake = async (id: string) => void woken.push(id);
  const wakeups = { wakeRun: wake, wakeMachine: wake, wakeLaunch: wake };
  const channels: FleetBench["channels"] = { ensureOpen: async () => undefined, ensureClosed: async () => undefined };
  const said: string[] = [];
  const { log } = createLog({ level: "info", write: (line) => void said.push(line) });
  const deps = { store, records, provider, wakeups, clock, ids: randomIds, log };
  const another = (settings: Partial<FleetSettings> = {}) =>
    createFleet({
      ...deps,
      settings: { ...fleetSettings, ...options.settings, ...settings },
      launchFailuresMax: options.launchFailuresMax ?? null,
    });
  const first = another();
  const launches = createLaunchSteps(deps);
  const machineSteps = createMachineSteps({ ...deps, channels });
  return {
    store,
    records,
    provider,
    fleet: first,
    launches,
    stepMachine: machineSteps.stepMachine,
    channels,
    woken,
    said,
    pass: (ms) => void (now += ms),
    now: () => now,
    another,
    async turn(fleet = first) {
      await fleet.reconcile();
      for (const { id } of await store.listLiveLaunches()) {
        await launches.stepLaunch(id);
      }
      for (const { id } of await store.listLiveMachines()) {
        await machineSteps.stepMachine(id);
      }
    },
    async addRun() {
      const value = queuedRun(now);
      await store.commit([{ kind: "run", value, version: 0 }]);
      return value;
    },
    machines: () => store.listLiveMachines(),
  };
}

function queuedRun(now: number): Run {
  const request = {
    origin: { kind: "local", user: "dev", path: "/tmp/example" },
    requestedAt: now,
    task: defaultTask("local", "example-model"),
    taskDigest: null,
    prompt: "p",
  } as const;
  const sha = "1".repeat(40);
  const source = { head: sha, base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "0".repeat(64) };
  const run = requestRun({ id: randomIds.run(now), request, now });
  return { ...run, phase: "queued", since: now, source, waitingFor: "a machine" };
}

export function unavailable(): AppError {
  return new AppError("PROVIDER_UNAVAILABLE", "no answer");
}
