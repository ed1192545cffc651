import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { type FleetBench, openFleetBench, unavailable } from "./fleet-bench.fixture.ts";

let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

async function waitingFor(bench: FleetBench): Promise<string[]> {
  return (await bench.store.listLiveRuns()).map((run) => (run.phase === "queued" ? run.waitingFor : run.phase));
}

/** A run whose spot machine ended by itself, taken back or not; nothing is launched for it yet. */
async function loseOne(bench: FleetBench, isTakenBack: boolean): Promise<void> {
  const run = await bench.addRun();
  await bench.turn();
  const [machine] = await bench.machines();
  if (machine === undefined) {
    throw new Error("nothing was launched");
  }
  await bench.records.applyToMachine(machine.id, { type: "hello" });
  await bench.records.applyToMachine(machine.id, { type: "claim", claim: { run: run.id, epoch: 1 } });
  await bench.records.applyToRun(run.id, { type: "claimed", machine: machine.id, capabilityHash: "c" });
  bench.provider.there.delete(machine.id);
  if (isTakenBack) {
    bench.provider.taken.add(machine.id);
  }
  bench.pass(1_000);
  await bench.turn();
}

describe("a machine that ended by itself", () => {
  it("was taken back where the provider says so, and its run gets a steady one, in a launch of its own", async () => {
    const bench = openFleetBench(server);
    await loseOne(bench, true);
    const other = await bench.addRun();
    await bench.turn();
    const launches = bench.provider.asked.slice(1);
    // Each launch is a step of its own, so either may be asked for first.
    const kinds = launches.map(({ count, interruptible }) => `${count} ${interruptible ? "interruptible" : "steady"}`);
    expect(kinds.toSorted()).toEqual(["1 interruptible", "1 steady"]);
    const runs = await bench.store.listLiveRuns();
    expect(runs.map(({ takenBack }) => takenBack?.epoch)).toEqual([1, undefined]);
    expect(runs[1]?.id).toBe(other.id);
  });

  it("was just lost where it does not, and its run takes any machine", async () => {
    const bench = openFleetBench(server);
    await loseOne(bench, false);
    await bench.turn();
    expect(bench.provider.asked.slice(1).map(({ interruptible }) => interruptible)).toEqual([true]);
  });

  it("holds up nobody else while there is no steady machine for its run", async () => {
    const bench = openFleetBench(server);
    bench.provider.waitSteady = "on-demand capacity at AWS";
    await loseOne(bench, true);
    await bench.addRun();
    await bench.turn();
    expect(bench.provider.asked.slice(1).map(({ interruptible }) => interruptible)).toEqual([true]);
    expect(await waitingFor(bench)).toEqual([
      "an on-demand machine: number 1 in line; waiting for on-demand capacity at AWS",
      "a machine, which is booting",
    ]);
  });
});

describe("a steady machine that is launched", () => {
  it("takes its place from the room there is, and the others have the rest", async () => {
    // The hour has room for one launch besides the one that was taken back.
    const bench = openFleetBench(server, { settings: { launchesPerHourMax: 2 } });
    await loseOne(bench, true);
    await bench.addRun();
    await bench.turn();
    await bench.turn();
    expect(bench.provider.asked.slice(1).map(({ interruptible = false }) => interruptible)).toEqual([false]);
  });
});

describe("a steady machine that has to wait", () => {
  it("leaves the room there is to the others", async () => {
    // The hour has room for one launch besides the one that was taken back.
    const bench = openFleetBench(server, { settings: { launchesPerHourMax: 2 } });
    bench.provider.waitSteady = "on-demand capacity at AWS";
    await loseOne(bench, true);
    await bench.addRun();
    await bench.turn();
    expect(bench.provider.asked.slice(1).map(({ interruptible }) => interruptible)).toEqual([true]);
  });
});

describe("a launch that does not come", () => {
  it("tells the run that waits what holds it up", async () => {
    const bench = openFleetBench(server);
    await bench.addRun();
    bench.provider.onLaunch = () => {
      throw unavailable();
    };
    await bench.turn();
    bench.provider.held = "AWS, which asked for fewer launches";
    await bench.turn();
    expect(await waitingFor(bench)).toEqual([
      "a machine, which is asked for; waiting for AWS, which asked for fewer launches",
    ]);
  });

  it("tells the run that waits what was lacking", async () => {
    const bench = openFleetBench(server);
    await bench.addRun();
    bench.provider.lacking = 1;
    await bench.turn();
    await bench.fleet.reconcile();
    expect(await waitingFor(bench)).toEqual(["a machine, which is asked for again; no capacity"]);
    bench.provider.wait = "capacity at AWS, which has none of 6 offerings";
    await bench.turn();
    await bench.fleet.reconcile();
    expect(await waitingFor(bench)).toEqual([
      "a machine: number 1 in line; waiting for capacity at AWS, which has none of 6 offerings; no capacity",
    ]);
  });

  it("is in the log once, by whoever holds it up, and not at each look", async () => {
    const bench = openFleetBench(server);
    await bench.addRun();
    bench.provider.onLaunch = () => {
      throw unavailable();
    };
    bench.provider.held = "AWS, which asked for fewer launches";
    for (let looks = 0; looks < 5; looks++) {
      await bench.turn();
      bench.pass(3_000);
    }
    expect(bench.provider.asked.length).toBeGreaterThan(1);
    expect(bench.said.filter((line) => line.includes("nobody knows yet"))).toEqual([]);
    bench.provider.held = null;
    await bench.turn();
    expect(bench.said.filter((line) => line.includes("nobody knows yet"))).toHaveLength(1);
  });
});
