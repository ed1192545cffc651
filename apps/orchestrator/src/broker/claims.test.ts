import type { Assignment, MachineId, RunId } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bootingMachine, queuedRun } from "../../../../test/attack/records.ts";
import { randomIds } from "../host/ids.ts";
import { createDispatch, type Dispatch } from "../runs/dispatch.ts";
import { createRecords } from "../runs/records.ts";
import { createRecordStore } from "../store/records.ts";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { createClaims } from "./claims.ts";

const NOW = Date.UTC(2026, 0, 5, 12);
/** More than a test may take. */
const FOR_EVER_MS = 600_000;

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.end());

/** A machine's questions over a real store. Every look waits for `hold`, and `looks` says how many there were. */
async function open(claimMs: number, now = () => NOW) {
  const store = createRecordStore({ redis: redis.redis, prefix: redis.prefix(), keepFinishedMs: 60_000 });
  const clock = { now };
  const records = createRecords({ store, clock });
  const none = async () => undefined;
  const wakeups = { wakeRun: none, wakeMachine: none, wakeLaunch: none };
  const recheck = async () => null;
  const real = createDispatch({ store, records, wakeups, clock, ids: randomIds, recheck, perInstallationMax: null });
  const seen = { looks: 0, hold: async () => undefined as void };
  const dispatch: Dispatch = {
    async claim(machine) {
      seen.looks += 1;
      await seen.hold();
      return real.claim(machine);
    },
  };
  const machine = bootingMachine(NOW);
  await store.commit([{ kind: "machine", value: machine, version: 0 }]);
  const { id } = machine;
  return { store, id, seen, claim: createClaims(id, { dispatch, records, wakeups, clock, claimMs }) };
}

async function addRun({ store }: Awaited<ReturnType<typeof open>>, requestedAt = NOW): Promise<RunId> {
  const run = queuedRun(requestedAt);
  await store.commit([{ kind: "run", value: run, version: 0 }]);
  return run.id;
}

async function recordOf({ store }: Awaited<ReturnType<typeof open>>, id: MachineId) {
  return (await store.loadMachine(id)) ?? { value: null, version: 0 };
}

/** Makes the next look wait until it is let go, and tells when it is there. */
function holdNext({ seen }: Awaited<ReturnType<typeof open>>) {
  const held = Promise.withResolvers<void>();
  const free = Promise.withResolvers<void>();
  seen.hold = async () => {
    seen.hold = async () => undefined;
    held.resolve();
    await free.promise;
  };
  return { held: held.promise, letGo: () => free.resolve() };
}

describe("a question", () => {
  it("ends by count when the clock stands still, and by the clock when that runs", async () => {
    const still = await open(400);
    expect(await still.claim({ destroyed: false })).toBeNull();
    expect(still.seen.looks).toBe(3);
    let now = NOW;
    const fast = await open(10_000, () => (now += 3_000));
    expect(await fast.claim({ destroyed: false })).toBeNull();
    expect(fast.seen.looks).toBeLessThan(4);
  });

  it("is one sign of life, however often it is looked for an attempt", async () => {
    const world = await open(600);
    await world.claim({ destroyed: false });
    expect(world.seen.looks).toBe(4);
    expect(await recordOf(world, world.id)).toMatchObject({ version: 2, value: { phase: "ready" } });
  });

  it("ends with its connection", async () => {
    const world = await open(FOR_EVER_MS);
    const connection = { destroyed: false };
    const { held, letGo } = holdNext(world);
    const question = world.claim(connection);
    await held;
    connection.destroyed = true;
    letGo();
    expect(await question).toBeNull();
    expect(world.seen.looks).toBe(1);
  });

  it("ends when a newer one comes", async () => {
    const world = await open(FOR_EVER_MS);
    const old = world.claim({ destroyed: false });
    const connection = { destroyed: false };
    const newer = world.claim(connection);
    expect(await old).toBeNull();
    connection.destroyed = true;
    expect(await newer).toBeNull();
  });
});

describe("an attempt given out in the last look of an old question", () => {
  it.each([
    ["whose connection broke", true],
    ["whose connection only seems to be there", false],
  ])("%s is the newer one's, and the machine lives", async (_which, destroyed) => {
    const world = await open(FOR_EVER_MS);
    const run = await addRun(world);
    await addRun(world, NOW + 1);
    const { held, letGo } = holdNext(world);
    const connection = { destroyed: false };
    const old = world.claim(connection);
    await held;
    connection.destroyed = destroyed;
    const newer = world.claim({ destroyed: false });
    letGo();
    expect(await old).toBeNull();
    expect(await newer).toMatchObject({ run, epoch: 1 } satisfies Partial<Assignment>);
    const claim = { run, epoch: 1 };
    expect((await recordOf(world, world.id)).value).toMatchObject({ phase: "claimed", claim });
    const running = (await world.store.listLiveRuns()).filter(({ phase }) => phase === "running");
    expect(running.map(({ id }) => id)).toEqual([run]);
    // Told once: who asks now has been told.
    await expect(world.claim({ destroyed: false })).rejects.toThrow();
    expect((await recordOf(world, world.id)).value).toMatchObject({ phase: "destroying", why: "claimed_twice" });
  });
});
