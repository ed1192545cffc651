import {
  decideLaunch,
  decideMachine,
  type Digest,
  intendLaunch,
  type Launch,
  type LaunchId,
  type Machine,
  type MachineId,
  recordMachine,
  type Store,
} from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRecordStore } from "../store/records.ts";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { createFleetHistory } from "./history.ts";

const NOW = Date.UTC(2026, 0, 5, 12);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOBODY = { launches: [], machines: [] };
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

function openStore(): Store {
  return createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: 24 * HOUR });
}

function open(number: number, createdAt: number): Launch {
  const image = `sha256:${"a".repeat(64)}` as Digest;
  const provider = { name: "fake", acceleration: "cloud", image, spec: image } as const;
  const id = `lch_${String(number).padStart(20, "0")}` as LaunchId;
  return intendLaunch({ id, provider, count: 1, plan: {}, now: createdAt, runMsMax: MINUTE });
}

function settled(launch: Launch): Launch {
  return decideLaunch(launch, { type: "launched", machines: [], missing: [] }, launch.createdAt).launch;
}

/** A machine that is gone again. */
function past(number: number, createdAt: number): Machine {
  const id = `mch_${String(number).padStart(20, "0")}` as MachineId;
  const machine = recordMachine({ id, launch: open(number, createdAt), now: createdAt });
  const ending = decideMachine(machine, { type: "destroy", why: "idle" }, createdAt).machine;
  const evidence = { at: createdAt, checks: [{ what: "instance", absent: true }] };
  return decideMachine(ending, { type: "absent", evidence }, createdAt).machine;
}

const ids = (values: readonly { id: string }[]) =>
  values.map(({ id }) => Number(id.slice(4))).toSorted((a, b) => a - b);

describe("what is known of a fleet's past", () => {
  it("is not forgotten when the clock jumps forward and back", async () => {
    const store = openStore();
    await store.commit([{ kind: "launch", value: settled(open(1, NOW)), version: 0 }]);
    await store.commit([{ kind: "machine", value: past(1, NOW), version: 0 }]);
    const history = createFleetHistory({ store, runMsMax: MINUTE });
    const read = async (now: number) => {
      const { launches, machines } = await history.read(NOBODY, now);
      return [ids(launches), ids(machines)];
    };
    expect(await read(NOW)).toEqual([[1], [1]]);
    expect(await read(NOW + 48 * HOUR)).toEqual([[], []]);
    expect(await read(NOW + MINUTE)).toEqual([[1], [1]]);
  });

  it("includes what was once given as live, however long before the last look it began", async () => {
    const store = openStore();
    const history = createFleetHistory({ store, runMsMax: MINUTE });
    await history.read(NOBODY, NOW);
    const launch = open(1, NOW - 30 * MINUTE);
    await history.read({ launches: [launch], machines: [] }, NOW);
    await store.commit([{ kind: "launch", value: settled(launch), version: 0 }]);
    expect(ids((await history.read(NOBODY, NOW)).launches)).toEqual([1]);
  });

  it("goes back over the day where money is limited, and otherwise only over the hour", async () => {
    const store = openStore();
    await store.commit([{ kind: "machine", value: past(1, NOW - 2 * HOUR), version: 0 }]);
    await store.commit([{ kind: "machine", value: past(2, NOW - 30 * MINUTE), version: 0 }]);
    const read = async (isMoneyLimited: boolean) =>
      ids((await createFleetHistory({ store, runMsMax: MINUTE, isMoneyLimited }).read(NOBODY, NOW)).machines);
    expect([await read(true), await read(false)]).toEqual([[1, 2], [2]]);
  });

  it("is read a hundred records at a time, and each finished one once", async () => {
    const real = openStore();
    for (let number = 1; number <= 250; number++) {
      await real.commit([{ kind: "machine", value: past(number, NOW), version: 0 }]);
    }
    let present = 0;
    let most = 0;
    let loads = 0;
    const store: Store = {
      ...real,
      async loadMachine(id) {
        loads += 1;
        present += 1;
        most = Math.max(most, present);
        const found = await real.loadMachine(id);
        present -= 1;
        return found;
      },
    };
    const history = createFleetHistory({ store, runMsMax: MINUTE });
    expect((await history.read(NOBODY, NOW)).machines).toHaveLength(250);
    expect((await history.read(NOBODY, NOW + 1)).machines).toHaveLength(250);
    expect({ most, loads }).toEqual({ most: 100, loads: 250 });
  });
});
