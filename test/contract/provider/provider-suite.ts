import assert from "node:assert/strict";
import {
  type Evidence,
  isAppError,
  isDigest,
  type KnownMachine,
  type Launch,
  type MachineId,
  type Provider,
} from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

/** A provider with what a test needs around it. */
export interface ProviderWorld {
  readonly provider: Provider;
  /** Another one over the same machines, as after a crash: it remembers nothing. */
  reopen(): Provider;
  /** A launch of what the provider plans for so many machines; `lifeMs` from now to its deadline. */
  intend(count: number, lifeMs?: number): Launch;
  /** Lets so much of the world's time pass; where that is the real one, some of it: whoever waits looks again. */
  pass(ms: number): Promise<void>;
  /** Ends the machine's processor as its own power-off would. */
  powerOff(machine: MachineId): Promise<void>;
  /** Destroys what is left. */
  close(): Promise<void>;
}

/** Looking again: many times the time that any provider takes to destroy a machine. */
const LOOKS_MAX = 200;
const LOOK_MS = 1_000;

/** What every provider must do, whatever its machines are. */
export function describeProvider(name: string, open: () => Promise<ProviderWorld>): void {
  describe(`the provider ${name}`, () => {
    let world: ProviderWorld;
    let provider: Provider;

    beforeEach(async () => {
      world = await open();
      provider = world.provider;
    });

    afterEach(async () => {
      await world.close();
    });

    it("says what it is and what its machines are made of", () => {
      expect(provider.name).toBe(name);
      expect(["kvm", "emulated", "cloud"]).toContain(provider.acceleration);
      expect(isDigest(provider.image)).toBe(true);
      expect(isDigest(provider.spec)).toBe(true);
      expect(world.reopen().spec).toBe(provider.spec);
      expect(provider.launchCountMax).toBeGreaterThanOrEqual(1);
      expect(provider.listingLagMs).toBeGreaterThanOrEqual(0);
      expect(provider.bootMs).toBeGreaterThan(0);
    });

    it("plans no more machines than it is asked for, nor than it can launch at once", async () => {
      for (const count of [1, provider.launchCountMax, provider.launchCountMax + 1]) {
        const planned = provider.planLaunch(count);
        assert("plan" in planned);
        expect(planned.count).toBeGreaterThanOrEqual(1);
        expect(planned.count).toBeLessThanOrEqual(Math.min(count, provider.launchCountMax));
        expect(JSON.parse(JSON.stringify(planned.plan))).toEqual(planned.plan);
      }
      expect(await provider.list()).toEqual([]);
    });

    it("makes the machines of a launch, which are listed as its own", async () => {
      const launch = world.intend(2);
      const { machines, missing } = await provider.ensureLaunched(launch);
      expect(machines).toHaveLength(launch.count);
      expect(missing).toEqual([]);
      expect(new Set(machines).size).toBe(launch.count);
      const listed = await seen(world, provider, machines);
      expect(listed.map(({ id }) => id).sort()).toEqual([...machines].sort());
      for (const machine of listed) {
        expect(machine).toMatchObject({ launch: launch.id, running: true });
        expect([null, provider.spec]).toContain(machine.spec);
      }
    });

    it("makes nothing more when a launch is repeated, at once, later, or after a crash", async () => {
      const launch = world.intend(2);
      const again = await Promise.all([provider.ensureLaunched(launch), provider.ensureLaunched(launch)]);
      const { machines } = await world.reopen().ensureLaunched(structuredClone(launch));
      expect(again.map((answer) => [...answer.machines].sort())).toEqual([[...machines].sort(), [...machines].sort()]);
      expect(await seen(world, provider, machines)).toHaveLength(machines.length);
    });

    it("makes other machines for another launch", async () => {
      const first = await provider.ensureLaunched(world.intend(1));
      const second = await provider.ensureLaunched(world.intend(1));
      const both = [...first.machines, ...second.machines];
      expect(new Set(both).size).toBe(2);
      expect(await seen(world, provider, both)).toHaveLength(2);
    });

    it("refuses a launch whose deadline has passed, and makes nothing", async () => {
      const launch = world.intend(1, -1);
      await expect(provider.ensureLaunched(launch)).rejects.toMatchObject({ code: "MACHINE_LAUNCH_FAILED" });
      await world.pass(provider.listingLagMs);
      expect((await provider.list()).filter(({ running }) => running)).toEqual([]);
    });

    it("destroys a machine and names each thing that it looked for and did not find", async () => {
      const launch = world.intend(2);
      const { machines } = await provider.ensureLaunched(launch);
      await seen(world, provider, machines);
      for (const evidence of await Promise.all(machines.map((id) => destroyed(world, provider, id)))) {
        expect(evidence.checks.length).toBeGreaterThan(2);
        expect(evidence.checks.filter(({ absent }) => !absent)).toEqual([]);
        expect(new Set(evidence.checks.map(({ what }) => what)).size).toBe(evidence.checks.length);
      }
      expect(await provider.list()).toEqual([]);
    });

    it("destroys only what it is asked to", async () => {
      const kept = await provider.ensureLaunched(world.intend(1));
      const lost = await provider.ensureLaunched(world.intend(1));
      await seen(world, provider, [...kept.machines, ...lost.machines]);
      await Promise.all(lost.machines.map((id) => destroyed(world, provider, id)));
      expect((await provider.list()).filter(({ running }) => running).map(({ id }) => id)).toEqual(kept.machines);
    });

    it("destroys again without harm, and after a crash, from what is there alone", async () => {
      const { machines } = await provider.ensureLaunched(world.intend(1));
      const [machine] = machines;
      assert(machine !== undefined);
      await seen(world, provider, machines);
      await provider.ensureDestroyed(machine).catch(expectNotGone);
      const heir = world.reopen();
      await destroyed(world, heir, machine);
      await destroyed(world, provider, machine);
      expect(await heir.list()).toEqual([]);
    });

    it("proves after a crash that each part is gone which was seen while the machine lived", async () => {
      const launch = world.intend(1);
      const { machines } = await provider.ensureLaunched(launch);
      const [machine] = machines;
      assert(machine !== undefined);
      const parts = (await seen(world, provider, machines)).flatMap((one) => one.parts ?? []);
      await provider.ensureDestroyed(machine, { launch: launch.id, parts }).catch(expectNotGone);
      const { checks } = await destroyed(world, world.reopen(), machine, { launch: launch.id, parts });
      for (const part of parts) {
        expect(checks.filter(({ what, absent }) => absent && what.includes(part))).toHaveLength(1);
      }
    });

    it("makes no machine again whose launch did not hear that it was made and destroyed", async () => {
      const launch = world.intend(1);
      const { machines } = await provider.ensureLaunched(launch);
      const [machine] = machines;
      assert(machine !== undefined);
      await seen(world, provider, machines);
      await destroyed(world, provider, machine);
      const again = await world.reopen().ensureLaunched(structuredClone(launch)).catch(expectNothing);
      expect(again === null || again.machines.every((id) => id === machine)).toBe(true);
      await world.pass(provider.listingLagMs);
      expect(await provider.list()).toEqual([]);
    });

    it("has evidence for a machine that nobody knows", async () => {
      const { machines } = await provider.ensureLaunched(world.intend(1));
      const [machine] = machines;
      assert(machine !== undefined);
      // Its neighbour: a name like any other, and nobody's.
      const unknown = machine.replace(/.$/, (digit) => (digit === "0" ? "1" : "0")) as MachineId;
      const { checks } = await destroyed(world, provider, unknown);
      expect(checks.length).toBeGreaterThan(0);
      expect(checks.every(({ absent }) => absent)).toBe(true);
      expect((await seen(world, provider, machines)).map(({ running }) => running)).toEqual([true]);
    });

    it("does not list as running what has ended by itself, and destroys the rest of it", async () => {
      const { machines } = await provider.ensureLaunched(world.intend(1));
      const [machine] = machines;
      assert(machine !== undefined);
      await seen(world, provider, machines);
      await world.powerOff(machine);
      for (let looks = 0; looks < LOOKS_MAX && (await isRunning(provider, machine)); looks++) {
        await world.pass(LOOK_MS);
      }
      expect(await isRunning(provider, machine)).toBe(false);
      await destroyed(world, provider, machine);
      expect(await provider.list()).toEqual([]);
    });

    it("reads the end of a console, and nothing where there is none", async () => {
      const { machines } = await provider.ensureLaunched(world.intend(1));
      const [machine] = machines;
      assert(machine !== undefined);
      expect(Buffer.byteLength(await provider.readConsole(machine))).toBeLessThanOrEqual(3 * 4 * 1024);
      await destroyed(world, provider, machine);
      expect(await provider.readConsole(machine)).toBe("");
    });
  });
}

/** Asks until the machine is gone. */
export async function destroyed(
  world: ProviderWorld,
  provider: Provider,
  id: MachineId,
  known?: KnownMachine,
): Promise<Evidence> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const evidence = await provider.ensureDestroyed(id, known).catch(expectNotGone);
    if (evidence !== null) {
      return evidence;
    }
    await world.pass(LOOK_MS);
  }
  throw new Error(`machine ${id} does not go`);
}

/** What is listed, once all of these are. */
async function seen(world: ProviderWorld, provider: Provider, machines: readonly MachineId[]) {
  for (let looks = 0; ; looks++) {
    const listed = await provider.list();
    const isWhole = machines.every((id) => listed.some((machine) => machine.id === id));
    if (isWhole || looks * LOOK_MS > provider.listingLagMs) {
      return listed;
    }
    await world.pass(LOOK_MS);
  }
}

async function isRunning(provider: Provider, id: MachineId): Promise<boolean> {
  return (await provider.list()).some((machine) => machine.id === id && machine.running);
}

function expectNothing(error: unknown): null {
  expect(isAppError(error, "MACHINE_LAUNCH_FAILED") ? error.code : error).toBe("MACHINE_LAUNCH_FAILED");
  return null;
}

function expectNotGone(error: unknown): null {
  expect(isAppError(error, "MACHINE_NOT_GONE") ? error.code : error).toBe("MACHINE_NOT_GONE");
  return null;
}
