import { AppError, limits, type MachineId } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { type FleetBench, openFleetBench } from "./fleet-bench.fixture.ts";

const SECOND = 1_000;
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

/** A fleet with one machine. */
async function openWithMachine(): Promise<{ bench: FleetBench; id: MachineId }> {
  const bench = openFleetBench(server, { settings: { warm: 1 } });
  await bench.turn();
  const [machine] = await bench.machines();
  return { bench, id: machine?.id as MachineId };
}

function show({ provider }: FleetBench, id: MachineId, parts: readonly string[]): void {
  const present = provider.there.get(id);
  if (present !== undefined) {
    provider.there.set(id, { ...present, parts });
  }
}

describe("what a machine was seen to have", () => {
  it("is written down as soon as it is seen, and once", async () => {
    const { bench, id } = await openWithMachine();
    show(bench, id, ["disk-1"]);
    await bench.fleet.reconcile();
    const noted = await bench.store.loadMachine(id);
    expect(noted?.value.parts).toEqual(["disk-1"]);
    await bench.fleet.reconcile();
    expect((await bench.store.loadMachine(id))?.version).toBe(noted?.version);
  });

  it("is written down before the machine is ended, and told to whoever ends it, in this process or the next", async () => {
    const { bench, id } = await openWithMachine();
    show(bench, id, ["disk-1", "card-1"]);
    const { provider, records, store } = bench;
    const noted: unknown[] = [];
    provider.onDestroy = async () => {
      noted.push((await store.loadMachine(id))?.value.parts, provider.known.get(id)?.parts);
      provider.there.delete(id);
      throw new AppError("MACHINE_NOT_GONE", "its disk is still there");
    };
    await records.applyToMachine(id, { type: "destroy", why: "deadline" });
    await bench.stepMachine(id);
    provider.known.clear();
    await bench.stepMachine(id);
    const all = ["disk-1", "card-1"];
    expect(noted).toEqual([all, all, all, all]);
  });
});

describe("a machine that is to be destroyed", () => {
  it("is destroyed though its provider cannot list what there is", async () => {
    const { bench, id } = await openWithMachine();
    bench.provider.list = async () => {
      throw new AppError("PROVIDER_UNAVAILABLE", "it does not answer");
    };
    await bench.records.applyToMachine(id, { type: "destroy", why: "deadline" });
    await bench.stepMachine(id);
    expect((await bench.store.loadMachine(id))?.value.phase).toBe("gone");
  });
});

describe("the channel of a machine that is to be destroyed", () => {
  it("is closed first: a broker that is there and does not answer is asked again, one that is absent is not", async () => {
    const { bench, id } = await openWithMachine();
    const { channels, provider, store } = bench;
    channels.ensureClosed = () => Promise.reject(new AppError("STORE_UNAVAILABLE", "a broker is silent"));
    await bench.records.applyToMachine(id, { type: "destroy", why: "deadline" });
    bench.woken.length = 0;
    await bench.stepMachine(id);
    expect([(await store.loadMachine(id))?.value.phase, provider.there.has(id)]).toEqual(["destroying", true]);
    expect(bench.woken).toEqual([id]);
    channels.ensureClosed = () => Promise.reject(new AppError("SERVICE_NOT_RUNNING", "there is none"));
    await bench.stepMachine(id);
    expect([(await store.loadMachine(id))?.value.phase, provider.there.has(id)]).toEqual(["gone", false]);
  });
});

describe("a machine that is well", () => {
  it("is woken at the first look and now and then, and at once when something is due", async () => {
    const { bench, id } = await openWithMachine();
    await bench.records.applyToMachine(id, { type: "hello" });
    const wakes = async (fleet = bench.fleet) => {
      bench.woken.length = 0;
      await fleet.reconcile();
      return bench.woken.filter((one) => one === id).length;
    };
    expect(await wakes()).toBe(0);
    expect(await wakes(bench.another())).toBe(1);
    bench.pass(10 * SECOND);
    expect(await wakes()).toBe(1);
    expect(await wakes()).toBe(0);
    await bench.records.applyToMachine(id, { type: "destroy", why: "deadline" });
    expect(await wakes()).toBe(1);
  });
});

describe("the log of a machine that does not go", () => {
  it("says so once, once more when it takes too long, and no more at each look", async () => {
    const { bench, id } = await openWithMachine();
    bench.provider.onDestroy = () => Promise.reject(new AppError("MACHINE_NOT_GONE", "still there"));
    await bench.records.applyToMachine(id, { type: "destroy", why: "deadline" });
    const lines = () => bench.said.filter((line) => line.includes("a machine is not gone yet"));
    for (let looks = 0; looks < 5; looks++) {
      await bench.turn();
      bench.pass(SECOND);
    }
    expect(lines()).toHaveLength(1);
    bench.pass(limits.destroyMs);
    await bench.turn();
    await bench.turn();
    expect(lines()).toHaveLength(2);
  });
});
