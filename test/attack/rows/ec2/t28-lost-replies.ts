import { type FleetSettings, type LaunchId, limits, type Store } from "@mayfly/core";
import { createFleet } from "../../../../apps/orchestrator/src/fleet/controller.ts";
import { createLaunchSteps } from "../../../../apps/orchestrator/src/fleet/launch-steps.ts";
import { createMachineSteps } from "../../../../apps/orchestrator/src/fleet/machine-steps.ts";
import { tagKeys } from "../../../../apps/orchestrator/src/fleet/providers/ec2/tags.ts";
import { randomIds } from "../../../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../../../apps/orchestrator/src/host/log.ts";
import { createRecords } from "../../../../apps/orchestrator/src/runs/records.ts";
import { createRecordStore } from "../../../../apps/orchestrator/src/store/records.ts";
import { type Ec2World, openEc2World } from "../../../contract/provider/ec2-world.ts";
import type { Random } from "../../corpus/random.ts";
import { queuedRun } from "../../records.ts";
import type { AttackContext, Row } from "../../row.ts";
import { createTally, type Tally } from "../../tally.ts";
import { endRuns, lostReplies } from "../t28-lost-replies.ts";

const settings: FleetSettings = {
  machinesMax: 6,
  machinesPerInstallationMax: null,
  launchesPerHourMax: 1_000,
  money: null,
  warm: 0,
  warmMax: 0,
  warmSchedule: [],
  runMsMax: limits.runMsMax,
};
const STEPS = 40;
/** Looks after the faults have ended: a machine that never said a word has had its time to boot by then. */
const SETTLING = 30;
/** Each far more often than EC2 does it. */
const chaos = {
  hiddenMs: 10_000,
  hiddenLooks: 1,
  lostReplies: 0.3,
  lostCalls: 0.1,
  duplicates: 0.2,
  errors: 0.1,
  noCapacity: 0.1,
  leaks: 0.2,
};
const calm = {
  hiddenMs: 0,
  hiddenLooks: 0,
  lostReplies: 0,
  lostCalls: 0,
  duplicates: 0,
  errors: 0,
  noCapacity: 0,
  leaks: 0,
};

/** The same control of the fleet and store before the real provider, and EC2's own ways to lose an answer. */
export const lostRepliesOnEc2: Row = {
  ...lostReplies,
  control: "EC2 does make instances whose answer is lost",
  async run(context) {
    const tally = createTally();
    const random = context.random("replies of EC2");
    let made = 0;
    for (let round = context.cases(30, 3); round > 0 && !tally.isBroken; round--) {
      made += await oneFleet(context, tally, random);
    }
    tally.control(made > 0, "no instance was ever made");
    return tally.verdict("no launch on EC2 made more instances than it was written down for, and none was left");
  },
};

async function oneFleet(context: AttackContext, tally: Tally, random: Random): Promise<number> {
  const { redis, prefix } = await context.redis();
  const world = await openEc2World({ seed: random.int(1_000_000), pace: { pendingMs: 5_000, terminationMs: 5_000 } });
  const close = context.atEnd(() => world.close());
  const clock = { now: world.now };
  const store = createRecordStore({ redis, prefix: prefix(), keepFinishedMs: limits.finishedRunMs });
  const records = createRecords({ store, clock });
  try {
    world.fake.setChaos(chaos);
    let look = openFleet(world, store, records);
    for (let step = 0; step < STEPS; step++) {
      await world.pass(random.pick([500, 1_000, 5_000, 30_000]));
      if (random.once(4)) {
        await store.commit([{ kind: "run", value: queuedRun(clock.now()), version: 0 }]);
      } else if (random.once(8)) {
        // The service died and is another now: its provider remembers nothing.
        look = openFleet(world, store, records);
      }
      await look();
    }
    await expectWrittenDown(tally, world, store);
    world.fake.setChaos(calm);
    for (let step = 0; step < SETTLING; step++) {
      await world.pass(60_000);
      await endRuns(store, records);
      await look();
    }
    tally.equal(world.fake.state.left(), { instances: 0, volumes: 0, interfaces: 0 }, "what is left at EC2");
    tally.equal((await store.listLiveLaunches()).length, 0, "launches that nobody settled");
    return world.fake.state.instances().length;
  } finally {
    await close();
  }
}

/** Every instance is of a launch that was written down first, and no launch made more than its record says. */
async function expectWrittenDown(tally: Tally, world: Ec2World, store: Store): Promise<void> {
  const made = Map.groupBy(world.fake.state.instances(), ({ tags }) => tags[tagKeys.launch] ?? "");
  for (const [launch, instances] of made) {
    const record = await store.loadLaunch(launch as LaunchId);
    tally.expect(record !== null, `instances of ${launch}, which nobody has written down`);
    tally.expect(
      instances.length <= (record?.value.count ?? 0),
      `${launch} of ${record?.value.count} made ${instances.length} instances`,
    );
  }
}

function openFleet(world: Ec2World, store: Store, records: ReturnType<typeof createRecords>): () => Promise<void> {
  const { log } = createLog({ level: "silent" });
  const nothing = async (): Promise<void> => undefined;
  const wakeups = { wakeRun: nothing, wakeMachine: nothing, wakeLaunch: nothing };
  const channels = { ensureOpen: nothing, ensureClosed: nothing };
  const provider = world.reopen();
  const deps = { store, records, provider, wakeups, clock: { now: world.now }, ids: randomIds, log };
  const fleet = createFleet({ ...deps, settings, launchFailuresMax: null });
  const launches = createLaunchSteps(deps);
  const machines = createMachineSteps({ ...deps, channels });
  return async () => {
    // Whatever a fault leaves undone is done at the next look.
    await fleet.reconcile().catch(() => undefined);
    for (const { id } of await store.listLiveLaunches()) {
      await launches.stepLaunch(id).catch(() => undefined);
    }
    const live = await store.listLiveMachines();
    await Promise.allSettled(live.map(({ id }) => machines.stepMachine(id)));
  };
}
