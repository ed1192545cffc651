import { AppError, limits } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { openFleetBench, unavailable } from "./fleet-bench.fixture.ts";

/** The pause after a request that nobody answered. */
const RETRY_MS = 2_000;
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

/** A bench on which two runs wait and one launch of two machines is written down and not asked for. */
async function openLaunch() {
  const bench = openFleetBench(server);
  await bench.addRun();
  await bench.addRun();
  await bench.fleet.reconcile();
  const [launch] = await bench.store.listLiveLaunches();
  if (launch === undefined) {
    throw new Error("nothing was launched");
  }
  const settled = async () => (await bench.store.loadLaunch(launch.id))?.value;
  return { ...bench, launch, settled, step: () => bench.launches.stepLaunch(launch.id) };
}

describe("a launch's step", () => {
  it("asks for what was written down, records every machine, and settles", async () => {
    const { provider, launch, settled, step, machines, now } = await openLaunch();
    await step();
    expect(provider.asked).toEqual([launch]);
    const made = await machines();
    expect(made).toHaveLength(2);
    for (const machine of made) {
      expect(machine).toMatchObject({
        phase: "booting",
        launch: launch.id,
        launchedAt: now(),
        deadline: launch.deadline,
      });
    }
    expect(await settled()).toMatchObject({ phase: "settled", machines: made.map(({ id }) => id), missing: [] });
    await step();
    expect(provider.asked).toHaveLength(1);
  });

  it("takes fewer machines than it asked for as an answer", async () => {
    const { provider, settled, step, machines } = await openLaunch();
    provider.lacking = 1;
    await step();
    expect(await machines()).toHaveLength(1);
    expect(await settled()).toMatchObject({ missing: [{ count: 1, reason: "no capacity" }], fault: null });
  });

  it("asks for the same again when nobody knows what came of it", async () => {
    const { provider, launch, settled, step, machines, woken, pass } = await openLaunch();
    provider.onLaunch = (_launch, when) => {
      if (when === "after" && provider.asked.length === 1) {
        throw unavailable();
      }
    };
    await step();
    expect(await settled()).toEqual(launch);
    expect(woken).toContain(launch.id);
    pass(RETRY_MS);
    await step();
    expect(provider.asked).toEqual([launch, launch]);
    expect(await machines()).toHaveLength(2);
    expect(await settled()).toMatchObject({ phase: "settled" });
  });

  it("asks no sooner, however often it is woken meanwhile", async () => {
    const { provider, step, pass } = await openLaunch();
    provider.onLaunch = () => {
      throw unavailable();
    };
    for (let woken = 0; woken < 5; woken++) {
      await step();
      pass(RETRY_MS / 5);
    }
    expect(provider.asked).toHaveLength(1);
    await step();
    expect(provider.asked).toHaveLength(2);
    // A clock that is set back holds nothing up.
    pass(-limits.bootMs);
    await step();
    expect(provider.asked).toHaveLength(3);
  });

  it("stays open until all its machines have their records", async () => {
    const { provider, store, launch, settled, step, machines, pass } = await openLaunch();
    const { commit } = store;
    let isBroken = true;
    Object.assign(store, {
      commit: async (writes: Parameters<typeof commit>[0]) => {
        if (isBroken && writes.some(({ kind }) => kind === "machine")) {
          throw new AppError("STORE_UNAVAILABLE", "no answer");
        }
        return commit(writes);
      },
    });
    await step();
    expect(await settled()).toEqual(launch);
    isBroken = false;
    pass(RETRY_MS);
    await step();
    expect(await machines()).toHaveLength(2);
    expect(await settled()).toMatchObject({ phase: "settled" });
    expect(provider.asked).toHaveLength(2);
  });

  it("settles with nothing when it failed", async () => {
    const { provider, settled, step, machines } = await openLaunch();
    provider.onLaunch = () => {
      throw new AppError("MACHINE_LAUNCH_FAILED", "no such image");
    };
    await step();
    expect(await settled()).toMatchObject({ phase: "settled", machines: [], fault: "no such image" });
    expect(await machines()).toEqual([]);
  });

  it("writes what a crash left out, and leaves the records that are there", async () => {
    const { provider, store, records, launch, settled, step, machines } = await openLaunch();
    await step();
    const [first, second] = await machines();
    // As if the step had ended between the first record and the second.
    await server.redis.flushall();
    await store.commit([{ kind: "launch", value: launch, version: 0 }]);
    await store.commit([{ kind: "machine", value: first as NonNullable<typeof first>, version: 0 }]);
    await records.applyToMachine((first as NonNullable<typeof first>).id, { type: "hello" });
    await step();
    expect(provider.asked).toEqual([launch, launch]);
    expect((await machines()).map(({ id, phase }) => ({ id, phase }))).toEqual([
      { id: first?.id, phase: "ready" },
      { id: second?.id, phase: "booting" },
    ]);
    expect(await settled()).toMatchObject({ phase: "settled" });
  });

  it("gives up when the time to launch is over, and asks no more", async () => {
    const { provider, settled, step, pass } = await openLaunch();
    provider.onLaunch = () => {
      throw unavailable();
    };
    await step();
    pass(limits.bootMs);
    await step();
    expect(provider.asked).toHaveLength(1);
    expect(await settled()).toMatchObject({ phase: "settled", machines: [] });
  });

  it("is one at a time, however often it is woken", async () => {
    const { provider, step, machines } = await openLaunch();
    await Promise.all([step(), step(), step()]);
    expect(provider.asked).toHaveLength(1);
    expect(await machines()).toHaveLength(2);
  });
});
