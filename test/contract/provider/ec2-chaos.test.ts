import { isAppError, type Launch, type MachineId } from "@mayfly/core";
import { afterEach, describe, expect, it } from "vitest";
import { type Ec2World, openEc2World } from "./ec2-world.ts";
import { destroyed } from "./provider-suite.ts";

const MINUTE = 60_000;
const WAVES = 6;
const MACHINES_PER_WAVE = 30;
/** Everything at once, each far more often than EC2 does it. */
const chaos = {
  hiddenMs: 20_000,
  lostReplies: 0.05,
  lostCalls: 0.05,
  duplicates: 0.05,
  errors: 0.05,
  noCapacity: 0.2,
  leaks: 0.1,
  interruptions: 0.1,
  interruptWithinMs: 2 * MINUTE,
};

let world: Ec2World;

afterEach(async () => {
  await world.close();
});

/** Launches until so many machines were made, as a controller would: what is missing is asked for again. */
async function launch(wanted: number): Promise<MachineId[]> {
  const made: MachineId[] = [];
  for (let tries = 0; made.length < wanted; tries++) {
    expect(tries).toBeLessThan(500);
    const planned = world.provider.planLaunch(wanted - made.length);
    if ("wait" in planned) {
      await world.pass(Math.max(1_000, planned.until - world.now()));
      continue;
    }
    made.push(...(await settled(world.intend(planned.count))));
  }
  return made;
}

/** The same launch until somebody knows what came of it. */
async function settled(intended: Launch): Promise<readonly MachineId[]> {
  for (let tries = 0; tries < 50; tries++) {
    try {
      const { machines, missing } = await world.provider.ensureLaunched(intended);
      const short = missing.reduce((sum, { count }) => sum + count, 0);
      expect(machines.length + short).toBe(intended.count);
      return machines;
    } catch (error) {
      expect(isAppError(error, "PROVIDER_UNAVAILABLE") ? error.code : error).toBe("PROVIDER_UNAVAILABLE");
      await world.pass(2_000);
    }
  }
  throw new Error("nobody knows what came of a launch");
}

describe("a fleet on an EC2 that does everything wrong", () => {
  it.each([1, 2, 3])("leaves nothing and makes no machine twice (seed %i)", async (seed) => {
    world = await openEc2World({ seed, pace: { pendingMs: 5_000, skippedTerminationMs: 20_000 } });
    world.fake.setChaos(chaos);
    const all: MachineId[] = [];
    for (let wave = 0; wave < WAVES; wave++) {
      const machines = await launch(MACHINES_PER_WAVE);
      await world.pass(MINUTE);
      await Promise.all(machines.map((id) => destroyed(world, world.provider, id)));
      all.push(...machines);
    }
    expect(new Set(all).size).toBe(WAVES * MACHINES_PER_WAVE);
    expect(world.fake.state.left()).toEqual({ instances: 0, volumes: 0, interfaces: 0 });
    expect(world.fake.calls.length / all.length).toBeLessThan(2);
  });
});
