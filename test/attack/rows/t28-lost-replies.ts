import {
  AppError,
  type Digest,
  type FleetSettings,
  type LaunchId,
  limits,
  type MachineId,
  type Provider,
  type Store,
} from "@mayfly/core";
import { createFleet } from "../../../apps/orchestrator/src/fleet/controller.ts";
import { createLaunchSteps } from "../../../apps/orchestrator/src/fleet/launch-steps.ts";
import { createMachineSteps } from "../../../apps/orchestrator/src/fleet/machine-steps.ts";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { createRecords } from "../../../apps/orchestrator/src/runs/records.ts";
import { createRecordStore } from "../../../apps/orchestrator/src/store/records.ts";
import type { Random } from "../corpus/random.ts";
import { queuedRun } from "../records.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const settings: FleetSettings = {
  machinesMax: 4,
  machinesPerInstallationMax: null,
  launchesPerHourMax: 1_000,
  money: null,
  warm: 0,
  warmMax: 0,
  warmSchedule: [],
  runMsMax: limits.runMsMax,
};
const STEPS = 50;
/** Looks after the faults have ended: each may have to wait for a pause to be over. */
const SETTLING = 12;

/** The real control of the fleet and the real store before a provider whose answers get lost, come late or say "no". */
export const lostReplies: Row = {
  id: "T28",
  attack: "A machine is started and the answer is lost, comes late or twice; the service dies in between.",
  needs: "redis",
  control: "machines do start without any record of a success, and every one is there before it is cleaned up",
  async run(context) {
    const tally = createTally();
    const random = context.random("replies");
    let orphans = 0;
    for (let round = context.cases(150, 4); round > 0 && !tally.isBroken; round--) {
      orphans += await oneFleet(context, tally, random);
    }
    tally.control(orphans > 0, "no answer was ever lost");
    return tally.verdict("no machine was started without its record, and none was left");
  },
};

async function oneFleet(context: AttackContext, tally: Tally, random: Random): Promise<number> {
  const { redis, prefix } = await context.redis();
  let now = Date.now();
  const clock = { now: () => now };
  const store = createRecordStore({ redis, prefix: prefix(), keepFinishedMs: limits.finishedRunMs });
  const records = createRecords({ store, clock });
  const host = createHost(tally, random, store);
  let fleet = openFleet();

  function openFleet(): { look(): Promise<void> } {
    const { log } = createLog({ level: "silent" });
    const wakeups = {
      wakeRun: async () => undefined,
      wakeMachine: async () => undefined,
      wakeLaunch: async () => undefined,
    };
    const channels = { ensureOpen: async () => undefined, ensureClosed: async () => undefined };
    const fleetDeps = { store, records, provider: host.provider, wakeups, clock, ids: randomIds, log };
    const made = createFleet({ ...fleetDeps, settings, launchFailuresMax: null });
    const launches = createLaunchSteps(fleetDeps);
    const steps = createMachineSteps({ ...fleetDeps, channels });
    return {
      async look() {
        // Whatever a fault leaves undone is done at the next look.
        await made.reconcile().catch(() => undefined);
        for (const { id } of await store.listLiveLaunches()) {
          await launches.stepLaunch(id).catch(() => undefined);
        }
        for (const { id } of await store.listLiveMachines()) {
          await steps.stepMachine(id).catch(() => undefined);
        }
      },
    };
  }

  for (let step = 0; step < STEPS; step++) {
    now += random.pick([500, 1_000, 5_000, 30_000]);
    if (random.once(4)) {
      await store.commit([{ kind: "run", value: queuedRun(now), version: 0 }]);
    } else if (random.once(6)) {
      await endRuns(store, records);
    } else if (random.once(8)) {
      fleet = openFleet();
    }
    await fleet.look();
  }
  host.heal();
  for (let step = 0; step < SETTLING; step++) {
    now += 60_000;
    await endRuns(store, records);
    await fleet.look();
  }
  // Nobody says hello here, so that each has also outlived the time it had to boot.
  tally.equal(host.present(), 0, "machines that are left");
  tally.equal((await store.listLiveMachines()).length, 0, "records of machines that are left");
  tally.equal((await store.listLiveLaunches()).length, 0, "launches that nobody settled");
  return host.lost();
}

export async function endRuns(store: Store, records: ReturnType<typeof createRecords>): Promise<void> {
  for (const run of await store.listLiveRuns()) {
    if (run.phase === "queued") {
      await records.applyToRun(run.id, {
        type: "end",
        ending: { outcome: "cancelled", code: "operator", detail: "an operator cancelled it" },
      });
    }
  }
}

interface Host {
  readonly provider: Provider;
  present(): number;
  lost(): number;
  heal(): void;
}

/** A host that keeps its machines apart from what it says of them. */
function createHost(tally: Tally, random: Random, store: Store): Host {
  const there = new Set<MachineId>();
  const coming = new Set<MachineId>();
  let isIll = true;
  let lost = 0;
  const failing = (times: number) => isIll && random.once(times);
  const fault = () => new AppError(random.once(2) ? "MACHINE_LAUNCH_FAILED" : "PROVIDER_UNAVAILABLE", "no answer");
  const provider: Provider = {
    name: "qemu",
    acceleration: "emulated",
    image: `sha256:${"0".repeat(64)}` as Digest,
    spec: `sha256:${"0".repeat(64)}` as Digest,
    launchCountMax: 1,
    bootMs: limits.bootMs,
    listingLagMs: 0,
    planLaunch: () => ({ plan: {}, count: 1 }),
    async ensureLaunched(launch) {
      const record = await store.loadLaunch(launch.id);
      tally.expect(record?.value.phase === "intended", "a machine is started that nobody has written down");
      const id = launch.id.replace("lch_", "mch_") as MachineId;
      if (failing(5)) {
        throw fault();
      }
      if (failing(5)) {
        coming.add(id);
        throw fault();
      }
      there.add(id);
      if (failing(3)) {
        lost += 1;
        throw fault();
      }
      return { machines: [id], missing: [] };
    },
    async list() {
      if (failing(6)) {
        throw fault();
      }
      // What was refused comes up after all.
      for (const id of coming) {
        if (!isIll || random.once(2)) {
          coming.delete(id);
          there.add(id);
        }
      }
      return [...there].map((id) => {
        const launch = id.replace("mch_", "lch_") as LaunchId;
        return { id, launch, running: true, address: null, spec: null };
      });
    },
    readConsole: async () => "",
    async ensureDestroyed(id) {
      if (failing(3)) {
        throw new AppError("MACHINE_NOT_GONE", "it resists");
      }
      there.delete(id);
      if (failing(4)) {
        throw new AppError("MACHINE_NOT_GONE", "no answer");
      }
      return { at: 0, checks: [{ what: "process", absent: true }] };
    },
  };
  return {
    provider,
    present: () => there.size,
    lost: () => lost,
    heal: () => void (isIll = false),
  };
}
