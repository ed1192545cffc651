import type { MachineId } from "@mayfly/core";
import { createEc2Provider } from "../../../apps/orchestrator/src/fleet/providers/ec2/ec2-provider.ts";
import { instanceIdOf } from "../../../apps/orchestrator/src/fleet/providers/ec2/machine-id.ts";
import { sweepFleet } from "../../../apps/orchestrator/src/fleet/providers/ec2/sweep.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { afterEach, describe, expect, it } from "vitest";
import { type Ec2World, fleet, openEc2World } from "./ec2-world.ts";
import { destroyed } from "./provider-suite.ts";

const MINUTE = 60_000;
const LISTING_MS = 6_000;
const nothing = { instances: 0, volumes: 0, interfaces: 0 };
let world: Ec2World;

async function open(options: Parameters<typeof openEc2World>[0] = {}): Promise<Ec2World> {
  world = await openEc2World(options);
  return world;
}

/** Machines that are past the time in which EC2 may not show them. */
async function launched(count: number): Promise<readonly MachineId[]> {
  const { machines } = await world.provider.ensureLaunched(world.intend(count));
  await world.pass(MINUTE);
  return machines;
}

function allDestroyed(machines: readonly MachineId[], provider = world.provider) {
  return Promise.all(machines.map((id) => destroyed(world, provider, id)));
}

afterEach(async () => {
  await world.close();
});

describe("destroying on EC2", () => {
  it("takes few calls, however many machines go at once", async () => {
    const { fake, calls } = await open({ pace: { skippedTerminationMs: 0 } });
    const machines = await launched(50);
    const before = fake.calls.length;
    await allDestroyed(machines);
    expect(calls("TerminateInstances")).toBe(1);
    expect(fake.calls.length - before).toBeLessThanOrEqual(8);
    expect(fake.state.left()).toEqual(nothing);
  });

  it("asks for no end of what has powered itself off since the last listing", async () => {
    const { provider, calls, powerOff, fake } = await open();
    const machines = await launched(3);
    await provider.list();
    const [first, ...rest] = machines as [MachineId, MachineId, MachineId];
    await Promise.all(rest.map((id) => powerOff(id)));
    await allDestroyed(machines);
    expect(calls("TerminateInstances")).toBe(1);
    const call = fake.calls.find(({ action }) => action === "TerminateInstances");
    expect(call?.input).toMatchObject({ InstanceIds: [instanceIdOf(first)] });
    expect(fake.state.left()).toEqual(nothing);
  });

  it("looks by its ids alone for what a machine had that was seen to run, in one call for each kind", async () => {
    const { provider, fake, powerOff } = await open();
    const machines = await launched(3);
    await provider.list();
    await Promise.all(machines.map((id) => powerOff(id)));
    const before = fake.calls.length;
    await allDestroyed(machines);
    const looks = fake.calls.slice(before).filter(({ action }) => /Volumes|NetworkInterfaces/.test(action));
    const filters = looks.map(({ input }) => (input as { Filters: { Name: string }[] }).Filters[0]?.Name);
    expect(filters).toHaveLength(2);
    expect(new Set(filters)).toEqual(new Set(["network-interface-id", "volume-id"]));
  });

  it("looks among all that the fleet has for what a machine may have had that nobody saw run", async () => {
    const { provider, fake, powerOff } = await open({ pace: { pendingMs: 2 * MINUTE } });
    const machines = await launched(3);
    expect(await provider.list()).toHaveLength(3);
    await Promise.all(machines.map((id) => powerOff(id)));
    const before = fake.calls.length;
    await allDestroyed(machines);
    const looks = fake.calls.slice(before).filter(({ action }) => /Volumes|NetworkInterfaces/.test(action));
    const filters = looks.map(({ input }) => (input as { Filters: { Name: string }[] }).Filters[0]?.Name);
    expect(filters).toContain("tag:mayfly:fleet");
  });

  it("does not wait for what runs in the machine", async () => {
    const { fake } = await open();
    await allDestroyed(await launched(1));
    const call = fake.calls.find(({ action }) => action === "TerminateInstances");
    expect(call?.input).toMatchObject({ Force: true, SkipOsShutdown: true });
  });

  it("calls no machine gone while EC2 is still ending it", async () => {
    const { provider, pass, fake } = await open({ pace: { skippedTerminationMs: 40_000 } });
    const [machine] = (await launched(1)) as [MachineId];
    await expect(provider.ensureDestroyed(machine)).rejects.toMatchObject({ code: "MACHINE_NOT_GONE" });
    await pass(LISTING_MS);
    expect((await provider.list()).map(({ running }) => running)).toEqual([false]);
    await pass(40_000);
    const { checks } = await destroyed(world, provider, machine);
    const [instance] = fake.state.instances();
    expect(checks.map(({ what }) => what)).toContain(`instance ${instance?.id}`);
  });

  it("names the volume and the interface that the machine had", async () => {
    const { provider, fake } = await open();
    const [machine] = (await launched(1)) as [MachineId];
    await provider.list();
    const [volume] = fake.state.volumes();
    const [card] = fake.state.interfaces();
    const what = (await destroyed(world, provider, machine)).checks.map((check) => check.what);
    expect(what).toContain(`volume ${volume?.id}`);
    expect(what).toContain(`network interface ${card?.id}`);
  });

  it("deletes what a machine left behind before it calls the machine gone", async () => {
    const { fake, calls } = await open({ chaos: { leaks: 1 } });
    await allDestroyed(await launched(3));
    expect(fake.state.left()).toEqual(nothing);
    expect(calls("DeleteVolume")).toBe(3);
    expect(calls("DeleteNetworkInterface")).toBe(3);
  });

  it("finds what was left behind also after a crash, when EC2 no longer says whose it was", async () => {
    const { provider, fake, reopen } = await open({ chaos: { leaks: 1 } });
    const machines = await launched(2);
    await Promise.all(machines.map((id) => provider.ensureDestroyed(id).catch(() => null)));
    expect(fake.state.left().instances).toBe(0);
    await allDestroyed(machines, reopen());
    expect(fake.state.left()).toEqual(nothing);
  });

  it("finds what was left behind without the fleet's tag by what was written down of the machine", async () => {
    const { provider, fake, ec2, config, intend, now, pass } = await open({ chaos: { leaks: 1 } });
    const launch = intend(1);
    const [machine] = (await provider.ensureLaunched(launch)).machines as [MachineId];
    await pass(MINUTE);
    const parts = (await provider.list()).flatMap((one) => one.parts ?? []);
    expect(parts).toHaveLength(2);
    // To a fleet of another name nothing of this one has a tag.
    const log = createLog({ level: "silent" }).log;
    const other = { config: { ...config, fleet: "green" }, ec2, clock: { now }, pause: pass, log };
    const { checks } = await destroyed(world, createEc2Provider(other), machine, { launch: launch.id, parts });
    expect(checks.map(({ what }) => what)).toEqual(
      expect.arrayContaining(parts.map((id) => expect.stringContaining(id))),
    );
    expect(fake.state.left()).toEqual(nothing);
  });

  it("deletes what was left behind by machines that nobody asks for any more", async () => {
    const { provider, fake, pass, powerOff } = await open({ chaos: { leaks: 1 } });
    const [machine] = (await launched(1)) as [MachineId];
    await powerOff(machine);
    expect(fake.state.left()).toEqual({ instances: 0, volumes: 1, interfaces: 1 });
    for (let minute = 0; minute < 4; minute++) {
      await pass(MINUTE);
      await provider.list();
    }
    expect(fake.state.left()).toEqual(nothing);
  });

  it("deletes what was left behind also while other machines take long to end", async () => {
    const { provider, fake, pass, powerOff } = await open({
      chaos: { leaks: 1 },
      pace: { skippedTerminationMs: 60 * MINUTE },
    });
    const [left, slow] = (await launched(2)) as [MachineId, MachineId];
    await powerOff(left);
    for (let looks = 0; looks < 8; looks++) {
      await pass(MINUTE / 2);
      await provider.list();
      await provider.ensureDestroyed(slow).catch(() => null);
    }
    expect(fake.state.left()).toEqual({ instances: 1, volumes: 1, interfaces: 1 });
  });

  it("is not kept from the others by one that EC2 does not know", async () => {
    const { fake } = await open();
    const machines = await launched(2);
    const unknown = "mch_00000000000000000001" as MachineId;
    await allDestroyed([...machines, unknown]);
    expect(fake.state.left()).toEqual(nothing);
  });

  it("calls no machine gone that lives without the fleet's tag and that EC2 does not end", async () => {
    const { fake, config, ec2, now, pass } = await open({ authorize: ({ action }) => action !== "TerminateInstances" });
    const [machine] = (await launched(1)) as [MachineId];
    const log = createLog({ level: "silent" }).log;
    const renamed = createEc2Provider({
      config: { ...config, fleet: "green" },
      ec2,
      clock: { now },
      pause: pass,
      log,
    });
    for (let looks = 0; looks < 4; looks++) {
      await expect(renamed.ensureDestroyed(machine)).rejects.toMatchObject({ code: "MACHINE_NOT_GONE" });
      await pass(MINUTE);
    }
    expect(fake.state.left().instances).toBe(1);
  });

  it("looks for what is not listed by its id, all of it in one call", async () => {
    const { provider, pass, fake } = await open();
    const unknown = [1, 2, 3].map((number) => `mch_0000000000000000000${number}` as MachineId);
    await Promise.all(unknown.map((id) => provider.ensureDestroyed(id).catch(() => null)));
    await pass(MINUTE);
    const before = fake.calls.length;
    const evidence = await Promise.all(unknown.map((id) => provider.ensureDestroyed(id)));
    const looks = fake.calls.slice(before).filter(({ action }) => action === "DescribeInstances");
    expect(looks.filter(({ input }) => JSON.stringify(input).includes('"instance-id"'))).toHaveLength(1);
    for (const [at, { checks }] of evidence.entries()) {
      expect(checks).toContainEqual({
        what: `instance ${instanceIdOf(unknown[at] as MachineId)} by its id`,
        absent: true,
      });
    }
  });

  it("is not kept by one machine's volume that cannot be deleted from calling the others gone", async () => {
    let stuck: string | undefined;
    const { provider } = await open({
      chaos: { leaks: 1 },
      authorize: ({ action, input }) => action !== "DeleteVolume" || !("VolumeId" in input && input.VolumeId === stuck),
    });
    const machines = await launched(3);
    await provider.list();
    stuck = world.fake.state.volumes()[0]?.id;
    const outcomes = await Promise.all(
      machines.map(async (id) => {
        for (let looks = 0; looks < 5; looks++) {
          const gone = await provider.ensureDestroyed(id).catch(() => null);
          if (gone !== null) {
            return "gone";
          }
          await world.pass(MINUTE);
        }
        return "not gone";
      }),
    );
    expect(outcomes.toSorted()).toEqual(["gone", "gone", "not gone"]);
  });

  it("asks for one after the other when EC2 refuses many at once", async () => {
    const isMany = (input: object): boolean => "InstanceIds" in input && (input.InstanceIds as string[]).length > 1;
    const { fake, calls } = await open({
      authorize: ({ action, input }) => action !== "TerminateInstances" || !isMany(input),
    });
    await allDestroyed(await launched(3));
    expect(calls("TerminateInstances")).toBe(4);
    expect(fake.state.left()).toEqual(nothing);
  });

  it("does not take a machine that is not listed yet for one that is gone", async () => {
    const { provider, fake, intend } = await open({ chaos: { hiddenMs: 20_000 } });
    const { machines } = await provider.ensureLaunched(intend(10));
    await allDestroyed(machines);
    expect(fake.state.left()).toEqual(nothing);
  });

  it("does not take a volume that is not listed yet for one that is gone", async () => {
    const { provider, fake, intend } = await open({ chaos: { hiddenMs: 20_000, leaks: 1 } });
    const { machines } = await provider.ensureLaunched(intend(10));
    await allDestroyed(machines);
    expect(fake.state.left()).toEqual(nothing);
  });

  it.each([
    { kind: "lose-reply" },
    { kind: "lose-call" },
    { kind: "twice" },
    { kind: "refuse", code: "RequestLimitExceeded", status: 503 },
    { kind: "refuse", code: "InternalError", status: 500 },
    { kind: "refuse", code: "InvalidInstanceID.NotFound" },
  ] as const)("ends all the same when EC2 does this: %j", async (fault) => {
    const { fake } = await open();
    const machines = await launched(3);
    fake.misbehave("TerminateInstances", fault);
    fake.misbehave("DescribeVolumes", { kind: "lose-reply" });
    fake.misbehave("DescribeNetworkInterfaces", { kind: "refuse", code: "RequestLimitExceeded", status: 503 });
    await allDestroyed(machines);
    expect(fake.state.left()).toEqual(nothing);
  });

  it("calls no machine gone while volumes cannot be listed", async () => {
    const { provider } = await open({ authorize: ({ action }) => action !== "DescribeVolumes" });
    const [machine] = (await launched(1)) as [MachineId];
    for (let tries = 0; tries < 3; tries++) {
      await expect(provider.ensureDestroyed(machine)).rejects.toMatchObject({ code: "MACHINE_NOT_GONE" });
    }
  });
});

describe("a sweep of EC2", () => {
  it("removes what outlived its deadline, and leaves the rest and other fleets alone", async () => {
    const { provider, ec2, intend, pass, now, fake } = await open({ chaos: { leaks: 1 } });
    await provider.ensureLaunched(intend(3, 5 * MINUTE));
    const kept = await provider.ensureLaunched(intend(1, 24 * 60 * MINUTE));
    await pass(15 * MINUTE);
    const elsewhere = await sweepFleet({ ec2, fleet: "green", now: now(), pause: pass });
    expect(elsewhere).toEqual({ seen: 0, overdue: [], removed: [], left: [] });
    const planned = await sweepFleet({ ec2, fleet, now: now(), pause: pass, dryRun: true });
    expect(planned.overdue).toHaveLength(3);
    expect(fake.state.left().instances).toBe(4);
    const swept = await sweepFleet({ ec2, fleet, now: now(), pause: pass });
    expect(swept).toMatchObject({ seen: 12, removed: planned.overdue, left: [] });
    const again = await sweepFleet({ ec2, fleet, now: now(), pause: pass });
    expect(again.removed).toHaveLength(6);
    expect(fake.state.left()).toEqual({ instances: 1, volumes: 1, interfaces: 1 });
    expect((await provider.list()).map(({ id }) => id)).toEqual(kept.machines);
  });

  it("says what it could not remove and why", async () => {
    const { provider, ec2, intend, pass, now } = await open({
      authorize: ({ action }) => action !== "TerminateInstances",
    });
    await provider.ensureLaunched(intend(1, MINUTE));
    await pass(15 * MINUTE);
    const { removed, left } = await sweepFleet({ ec2, fleet, now: now(), pause: pass });
    expect(removed).toEqual([]);
    expect(left).toEqual([{ id: expect.any(String), why: expect.stringContaining("UnauthorizedOperation") }]);
  });

  it("removes nothing when the fleet cannot be read whole", async () => {
    const { provider, ec2, intend, pass, now, fake } = await open({
      authorize: ({ action }) => action !== "DescribeNetworkInterfaces",
    });
    await provider.ensureLaunched(intend(1, MINUTE));
    await pass(15 * MINUTE);
    await expect(sweepFleet({ ec2, fleet, now: now(), pause: pass })).rejects.toMatchObject({
      code: "PROVIDER_UNAVAILABLE",
    });
    expect(fake.state.left().instances).toBe(1);
  });
});
