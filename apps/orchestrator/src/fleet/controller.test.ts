import { AppError, type Digest, intendLaunch, limits, type Machine, type MachineId } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { randomIds } from "../host/ids.ts";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { type FleetBench, openFleetBench, unavailable } from "./fleet-bench.fixture.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** After so long a look of another service is not waited for. */
const LOOK_MS_MAX = 30_000;
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

async function waitingFor(bench: FleetBench): Promise<string[]> {
  return (await bench.store.listLiveRuns()).map((run) => (run.phase === "queued" ? run.waitingFor : run.phase));
}

/** Machines that open launches ask for. */
async function launchedCount({ store }: FleetBench): Promise<number> {
  return (await store.listLiveLaunches()).reduce((sum, { count }) => sum + count, 0);
}

/** As if the service ended while its provider lists: the look is written down, and never ends. */
async function dieLooking({ fleet, provider }: FleetBench): Promise<void> {
  const listing = Promise.withResolvers<void>();
  provider.onList = () => {
    provider.onList = () => undefined;
    listing.resolve();
    return new Promise(() => undefined);
  };
  void fleet.reconcile();
  await listing.promise;
}

function addStranger({ provider }: FleetBench): MachineId {
  const id = "mch_00000000000000000009" as MachineId;
  provider.there.set(id, { id, launch: null, running: true, address: null, spec: null });
  return id;
}

/** Every machine that boots says its first word. */
async function greet({ machines, records }: FleetBench): Promise<void> {
  for (const { id } of await machines()) {
    await records.applyToMachine(id, { type: "hello" });
  }
}

describe("the control of a fleet", () => {
  it("asks for all machines that are wanted, in as few launches as the provider allows", async () => {
    const bench = openFleetBench(server, { launchCountMax: 2 });
    for (let i = 0; i < 5; i++) {
      await bench.addRun();
    }
    await bench.turn();
    expect(bench.provider.asked.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual([1, 2, 2]);
    await bench.turn();
    expect(bench.provider.there.size).toBe(5);
    expect(await waitingFor(bench)).toEqual(Array.from({ length: 5 }, () => "a machine, which is booting"));
  });

  it("asks for nothing while the provider has to wait, and says what for", async () => {
    const bench = openFleetBench(server);
    await bench.addRun();
    bench.provider.wait = "capacity in zone a";
    await bench.turn();
    expect(bench.provider.asked).toEqual([]);
    expect(await waitingFor(bench)).toEqual(["a machine: number 1 in line; waiting for capacity in zone a"]);
  });

  it("destroys what nobody has recorded, but not what an open launch has made", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    bench.provider.onLaunch = (_launch, when) => {
      if (when === "after") {
        throw unavailable();
      }
    };
    await bench.turn();
    await bench.turn();
    expect(bench.provider.there.size).toBe(1);
    bench.pass(limits.bootMs);
    await bench.turn();
    await bench.another({ warm: 0 }).reconcile();
    expect(bench.provider.there.size).toBe(0);
  });

  it("launches nothing when the listing cannot be read, and nothing is lost by that", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    await bench.turn();
    await bench.addRun();
    await bench.addRun();
    bench.provider.onList = () => {
      throw unavailable();
    };
    await bench.turn();
    expect(bench.provider.asked).toHaveLength(1);
    expect(await bench.machines()).toMatchObject([{ phase: "booting" }]);
    expect(await waitingFor(bench)).toEqual([
      "a machine, which is booting",
      "a machine: number 1 in line; the machines cannot be counted",
    ]);
  });

  it("counts what it could not destroy among its machines", async () => {
    const bench = openFleetBench(server, { settings: { warm: 2, machinesMax: 2 } });
    addStranger(bench);
    bench.provider.onDestroy = () => {
      throw unavailable();
    };
    await bench.turn();
    expect(bench.provider.asked.map(({ count }) => count)).toEqual([1]);
  });

  it("loses a machine that its provider does not list, once the listing must show it", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    Object.assign(bench.provider, { listingLagMs: 30 * SECOND });
    await bench.turn();
    await greet(bench);
    const [machine] = await bench.machines();
    bench.provider.there.clear();
    for (let seconds = 0; seconds < 30; seconds += 10) {
      bench.pass(10 * SECOND);
      await bench.fleet.reconcile();
    }
    expect((await bench.store.loadMachine(machine?.id as never))?.value.phase).toBe("ready");
    bench.pass(1);
    await bench.fleet.reconcile();
    expect((await bench.store.loadMachine(machine?.id as never))?.value).toMatchObject({ why: "vanished" });
  });

  it("drains a pool of another image and fills it anew", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    await bench.turn();
    await greet(bench);
    const [old] = await bench.machines();
    bench.provider.spec = `sha256:${"1".repeat(64)}` as Digest;
    await bench.turn();
    await bench.turn();
    expect((await bench.store.loadMachine(old?.id as never))?.value).toMatchObject({ phase: "gone", why: "outdated" });
    expect(await bench.machines()).toMatchObject([{ phase: "booting", spec: bench.provider.spec }]);
  });

  it("launches no faster for being started anew: failures are known from the records", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    bench.provider.onLaunch = () => {
      throw new Error("the image is broken");
    };
    for (let seconds = 0; seconds < 3 * 60; seconds++) {
      await bench.turn(bench.another());
      bench.pass(SECOND);
    }
    // After pauses of 2, 4, 8 and 16 seconds it has failed five times.
    expect(bench.provider.asked).toHaveLength(5);
    bench.pass(5 * MINUTE);
    await bench.turn(bench.another());
    await bench.turn(bench.another());
    expect(bench.provider.asked).toHaveLength(6);
    bench.provider.onLaunch = () => undefined;
    bench.pass(5 * MINUTE);
    await bench.turn(bench.another({ warm: 3 }));
    await greet(bench);
    await bench.turn(bench.another({ warm: 3 }));
    expect(bench.provider.asked.map(({ count }) => count).slice(-2)).toEqual([1, 2]);
  });

  it("ends the runs that wait where somebody would rather know", async () => {
    const bench = openFleetBench(server, { launchFailuresMax: 2 });
    await bench.addRun();
    bench.provider.onLaunch = () => {
      throw new Error("the image is broken");
    };
    await bench.turn();
    bench.pass(2 * SECOND);
    await bench.turn();
    bench.pass(SECOND);
    await bench.turn();
    expect(await bench.store.listLiveRuns()).toMatchObject([
      {
        phase: "publishing",
        ending: { code: "no_machine", detail: "the last 2 launches failed: Error: the image is broken" },
      },
    ]);
  });

  it("keeps to the launches of an hour over a restart", async () => {
    const bench = openFleetBench(server, { settings: { warm: 3, launchesPerHourMax: 4 } });
    await bench.turn();
    await greet(bench);
    for (const { id } of await bench.machines()) {
      await bench.records.applyToMachine(id, { type: "destroy", why: "idle" });
    }
    bench.pass(SECOND);
    await bench.turn(bench.another());
    await bench.turn(bench.another());
    await bench.turn(bench.another());
    expect(bench.provider.asked.map(({ count }) => count)).toEqual([3, 1]);
    bench.pass(60 * MINUTE);
    // The last one never booted: that is noticed first, and costs the next launch a moment.
    await bench.turn(bench.another());
    bench.pass(2 * SECOND);
    await bench.turn(bench.another());
    expect(bench.provider.asked.map(({ count }) => count)).toEqual([3, 1, 3]);
  });

  it("gives back the money of a machine that is gone, and counts it over a restart", async () => {
    const life = limits.bootMs * 2 + limits.idleMachineMs + limits.runMsMax + limits.resultMs + limits.machineGraceMs;
    const perDayMax = (life / (60 * MINUTE)) * 1.5;
    const money = { perHour: 1, perDayMax, asOf: "2026-01-01" };
    const bench = openFleetBench(server, { settings: { warm: 2, money } });
    await bench.turn();
    await greet(bench);
    await bench.turn(bench.another());
    expect(bench.provider.asked.map(({ count }) => count)).toEqual([1]);
    bench.provider.there.clear();
    bench.pass(MINUTE);
    await bench.turn(bench.another());
    await bench.turn(bench.another());
    expect(bench.provider.asked.map(({ count }) => count)).toEqual([1, 1]);
  });

  it("lets one of several looks at the same moment plan", async () => {
    const bench = openFleetBench(server, { settings: { warm: 4 } });
    const others = [bench.fleet, bench.another(), bench.another()];
    await Promise.all(others.map((fleet) => fleet.reconcile()));
    const counts = (await bench.store.listLiveLaunches()).map(({ count }) => count);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(4);
    await bench.turn();
    expect(bench.provider.there.size).toBe(4);
  });

  it("lets a stranger that resists hold up nothing, and destroys it by one attempt at a time", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    const tries: PromiseWithResolvers<void>[] = [];
    const id = addStranger(bench);
    bench.provider.onDestroy = () => {
      const attempt = Promise.withResolvers<void>();
      tries.push(attempt);
      return attempt.promise;
    };
    await bench.turn();
    await bench.turn();
    expect(bench.provider.asked.map(({ count }) => count)).toEqual([1]);
    expect(tries).toHaveLength(1);
    tries[0]?.reject(unavailable());
    await vi.waitFor(async () => {
      await bench.fleet.reconcile();
      expect(tries).toHaveLength(2);
    });
    tries[1]?.resolve();
    await vi.waitFor(() => expect(bench.provider.there.has(id)).toBe(false));
  });

  it("looks once at a time in a process, and wakes what lives meanwhile", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    const run = await bench.addRun();
    let lists = 0;
    bench.provider.onList = async () => {
      lists += 1;
      if (lists > 1) {
        return;
      }
      await bench.fleet.reconcile();
      expect(bench.woken).toEqual([run.id]);
    };
    await bench.fleet.reconcile();
    expect(lists).toBe(1);
    expect(await launchedCount(bench)).toBe(2);
  });

  it("leaves the fleet to a service that looks, but not to one that died at it", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    await dieLooking(bench);
    bench.pass(LOOK_MS_MAX - 1);
    await bench.another().reconcile();
    expect(await launchedCount(bench)).toBe(0);
    bench.pass(1);
    await bench.another().reconcile();
    expect(await launchedCount(bench)).toBe(1);
  });

  it("adopts what lives at its start, though a service before it died at a look", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    await bench.turn();
    await greet(bench);
    await dieLooking(bench);
    bench.pass(SECOND);
    await bench.another().reconcile();
    expect(await bench.machines()).toMatchObject([{ phase: "ready", heardAt: bench.now() }]);
  });

  it("looks again at once after a look of its own that failed", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    const { listLiveRuns } = bench.store;
    const lost = async () => {
      throw new AppError("STORE_UNAVAILABLE", "no answer");
    };
    const { commit } = bench.store;
    bench.provider.onList = () => void Object.assign(bench.store, { listLiveRuns: lost, commit: lost });
    await expect(bench.fleet.reconcile()).rejects.toThrow("no answer");
    bench.provider.onList = () => undefined;
    Object.assign(bench.store, { listLiveRuns, commit });
    await bench.fleet.reconcile();
    expect(await launchedCount(bench)).toBe(1);
  });

  it("plans nothing on facts from before another look, and says why", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1, warmMax: 1 } });
    await bench.addRun();
    const { countRunsSince } = bench.store;
    const other = bench.another();
    Object.assign(bench.store, {
      // The first look knows its launches and machines by now, and has launched nothing yet.
      countRunsSince: async (since: number) => {
        Object.assign(bench.store, { countRunsSince });
        bench.pass(LOOK_MS_MAX);
        await other.reconcile();
        return countRunsSince(since);
      },
    });
    await bench.fleet.reconcile();
    expect(await launchedCount(bench)).toBe(2);
    expect(await waitingFor(bench)).toEqual(["a machine: number 1 in line; another service is looking"]);
    await bench.turn();
    expect(await waitingFor(bench)).toEqual(["a machine, which is booting"]);
  });

  it("knows a machine that is launched, recorded and settled while it lists", async () => {
    const bench = openFleetBench(server);
    bench.provider.onList = async () => {
      const launch = intendLaunch({
        id: randomIds.launch(bench.now()),
        provider: bench.provider,
        count: 1,
        plan: {},
        now: bench.now(),
        runMsMax: limits.runMsMax,
      });
      await bench.store.commit([{ kind: "launch", value: launch, version: 0 }]);
      await bench.launches.stepLaunch(launch.id);
    };
    await bench.fleet.reconcile();
    expect(await bench.store.listLiveLaunches()).toEqual([]);
    expect(await bench.machines()).toHaveLength(1);
    expect(bench.provider.there.size).toBe(1);
  });

  it("is held up by no record that it does not understand", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    await bench.turn();
    await greet(bench);
    const [machine] = await bench.machines();
    const value = { ...(machine as Machine), id: `mch_${"0".repeat(20)}`, phase: "of a later version" } as never;
    await bench.store.commit([{ kind: "machine", value, version: 0 }]);
    bench.pass(SECOND);
    await bench.another({ warm: 2 }).reconcile();
    const known = (await bench.machines()).find(({ id }) => id === machine?.id);
    expect(known).toMatchObject({ heardAt: bench.now() });
    expect(await launchedCount(bench)).toBe(1);
  });

  it("forgives silence after it was away, and not otherwise", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    await bench.turn();
    await greet(bench);
    const heardAt = async () => (await bench.machines()).map((machine) => ("heardAt" in machine ? machine.heardAt : 0));
    const before = await heardAt();
    bench.pass(14 * SECOND);
    await bench.fleet.reconcile();
    expect(await heardAt()).toEqual(before);
    bench.pass(16 * SECOND);
    await bench.fleet.reconcile();
    expect(await heardAt()).toEqual([bench.now()]);
    bench.pass(SECOND);
    await bench.another().reconcile();
    expect(await heardAt()).toEqual([bench.now()]);
  });

  it("never takes a machine of another provider for gone", async () => {
    const bench = openFleetBench(server, { settings: { warm: 1 } });
    await bench.turn();
    const [machine] = await bench.machines();
    const provider = bench.provider as { name: string } & typeof bench.provider;
    provider.name = "another";
    await bench.records.applyToMachine(machine?.id as MachineId, { type: "destroy", why: "deadline" });
    await bench.turn();
    const left = async () => (await bench.machines()).find(({ id }) => id === machine?.id)?.phase ?? "gone";
    expect(await left()).toBe("destroying");
    provider.name = "bench";
    await bench.turn();
    expect(await left()).toBe("gone");
  });
});
