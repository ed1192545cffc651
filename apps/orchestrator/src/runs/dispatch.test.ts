import {
  AppError,
  decideMachine,
  decideRun,
  defaultTask,
  type Digest,
  intendLaunch,
  limits,
  type Machine,
  type MachineId,
  recordMachine,
  requestRun,
  type Run,
  type RunRequest,
} from "@mayfly/core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { randomIds } from "../host/ids.ts";
import { createRecordStore } from "../store/records.ts";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { CLAIM_MS, createDispatch, type Dispatch } from "./dispatch.ts";
import type { RecheckRun } from "./recheck-run.ts";
import { createRecords } from "./records.ts";

const NOW = Date.UTC(2026, 0, 5, 12);
const SHA = "1".repeat(40);
const DIGEST = `sha256:${"0".repeat(64)}` as Digest;
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

const none = async () => undefined;
const wakeups = { wakeRun: none, wakeMachine: none, wakeLaunch: none };

/** Dispatches, as many as there are processes, over a real store. */
function open(
  perInstallationMax: number | null,
  { recheck = async () => null, processes = 1 }: { recheck?: RecheckRun; processes?: number } = {},
) {
  let now = NOW;
  const clock = { now: () => now };
  const store = createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: 60_000 });
  const deps = { store, records: createRecords({ store, clock }), wakeups, clock, ids: randomIds, recheck };
  const dispatches = Array.from({ length: processes }, () =>
    createDispatch({ ...deps, perInstallationMax, patienceMs: 1 }),
  );
  let runs = 0;
  let claims = 0;
  return {
    store,
    pass: (ms: number) => void (now += ms),
    async addRun(installation: number): Promise<Run> {
      const value = queuedRun(NOW + (runs += 1), installation);
      await store.commit([{ kind: "run", value, version: 0 }]);
      return value;
    },
    async claim() {
      const machine = readyMachine();
      await store.commit([{ kind: "machine", value: machine, version: 0 }]);
      return (await dispatches[(claims += 1) % processes]?.claim(machine.id))?.run ?? null;
    },
  };
}

function queuedRun(now: number, installation: number): Run {
  const origin = {
    kind: "pull_request",
    installation,
    repository: { id: 1, owner: "o", name: "r" },
    head: SHA,
  } as RunRequest["origin"];
  const request = { origin, requestedAt: now, task: defaultTask("t", "m"), taskDigest: null, prompt: "p" };
  const layout = { head: SHA, base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "0".repeat(64) };
  const run = requestRun({ id: randomIds.run(now), request, now });
  return decideRun(run, { type: "source_prepared", layout }, now).run;
}

function readyMachine(): Machine {
  const provider = { name: "bench", acceleration: "cloud", image: DIGEST, spec: DIGEST } as const;
  const id = randomIds.launch(NOW);
  const launch = intendLaunch({ id, provider, count: 1, plan: {}, now: NOW, runMsMax: limits.runMsMax });
  const booting = recordMachine({ id: id.replace("lch_", "mch_") as MachineId, launch, now: NOW });
  return decideMachine(booting, { type: "hello" }, NOW).machine;
}

describe("a claim", () => {
  let now: number;
  /** How long GitHub takes to say that the run still holds. */
  let lookMs: number;
  /** How many of the runs looked at do not hold any more. */
  let ended: number;
  let store: ReturnType<typeof createRecordStore>;
  let dispatch: Dispatch;
  let run: Run;
  let machine: Machine;

  beforeEach(async () => {
    now = NOW;
    lookMs = 0;
    ended = 0;
    const clock = { now: () => now };
    store = createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: limits.finishedRunMs });
    dispatch = createDispatch({
      store,
      perInstallationMax: null,
      records: createRecords({ store, clock }),
      wakeups,
      clock,
      ids: randomIds,
      async recheck() {
        now += lookMs;
        ended -= 1;
        return ended < 0 ? null : { outcome: "cancelled", code: "label_removed", detail: "the label is gone" };
      },
    });
    run = queuedRun(now, 7);
    machine = readyMachine();
    await store.commit([
      { kind: "run", value: run, version: 0 },
      { kind: "machine", value: machine, version: 0 },
    ]);
  });

  async function phases(): Promise<unknown[]> {
    return [(await store.loadRun(run.id))?.value.phase, (await store.loadMachine(machine.id))?.value.phase];
  }

  it("is refused from the moment its service stops, with nothing written, and is another service's", async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<null>();
    const deps = { store, perInstallationMax: null, wakeups, clock: { now: () => now }, ids: randomIds };
    const records = createRecords(deps);
    const stopping = createDispatch({
      ...deps,
      records,
      recheck() {
        asked.resolve();
        return answer.promise;
      },
    });
    const claim = stopping.claim(machine.id);
    await asked.promise;
    await stopping.close();
    answer.resolve(null);
    expect(await claim).toBeNull();
    expect(await stopping.claim(machine.id)).toBeNull();
    expect(await phases()).toEqual(["queued", "ready"]);
    expect(await dispatch.claim(machine.id)).toMatchObject({ run: run.id, epoch: 1 });
  });

  it("that is being written when its service stops is waited for", async () => {
    const writing = Promise.withResolvers<void>();
    const free = Promise.withResolvers<void>();
    const slow: typeof store = {
      ...store,
      async commit(writes) {
        writing.resolve();
        await free.promise;
        return store.commit(writes);
      },
    };
    const deps = { perInstallationMax: null, wakeups, clock: { now: () => now }, ids: randomIds };
    const records = createRecords({ store, clock: deps.clock });
    const stopping = createDispatch({ ...deps, store: slow, records, recheck: async () => null });
    const claim = stopping.claim(machine.id);
    await writing.promise;
    let isClosed = false;
    const closed = stopping.close().then(() => (isClosed = true));
    await store.loadRun(run.id);
    expect(isClosed).toBe(false);
    free.resolve();
    await closed;
    expect(await phases()).toEqual(["running", "claimed"]);
    expect(await claim).toMatchObject({ run: run.id, epoch: 1 });
  });

  it("that is never written, since the store hangs, holds up no stop", async () => {
    const writing = Promise.withResolvers<void>();
    const hanging: typeof store = {
      ...store,
      commit() {
        writing.resolve();
        return new Promise(() => {});
      },
    };
    const deps = { perInstallationMax: null, wakeups, clock: { now: () => now }, ids: randomIds, closeMs: 10 };
    const records = createRecords({ store, clock: deps.clock });
    const stopping = createDispatch({ ...deps, store: hanging, records, recheck: async () => null });
    void stopping.claim(machine.id);
    await writing.promise;
    await stopping.close();
  });

  it("is written in the last moment in which its asker still waits", async () => {
    lookMs = CLAIM_MS;
    expect(await dispatch.claim(machine.id)).toMatchObject({ run: run.id, epoch: 1 });
    expect(await phases()).toEqual(["running", "claimed"]);
  });

  it("is not written once its asker has given up, and costs neither the run nor the machine", async () => {
    lookMs = CLAIM_MS + 1;
    expect(await dispatch.claim(machine.id)).toBeNull();
    expect(await phases()).toEqual(["queued", "ready"]);
    lookMs = 0;
    expect(await dispatch.claim(machine.id)).toMatchObject({ run: run.id, epoch: 1 });
  });

  it("counts its time from the question, over every run that was looked at", async () => {
    const others = [1, 2].map((later) => queuedRun(now + later, 7));
    await store.commit(others.map((value) => ({ kind: "run", value, version: 0 })));
    ended = 2;
    lookMs = Math.floor(CLAIM_MS / 3) + 1;
    expect(await dispatch.claim(machine.id)).toBeNull();
    expect(await phases()).toEqual(["publishing", "ready"]);
  });
});

describe("machines that ask for a run", () => {
  it("are given one of each installation in turn, the oldest first", async () => {
    const { addRun, claim } = open(null);
    const [one, two, three] = [await addRun(7), await addRun(7), await addRun(8)];
    expect([await claim(), await claim(), await claim(), await claim()]).toEqual([one.id, three.id, two.id, null]);
  });

  it("share one reading of who waits, and a moment later see who came since", async () => {
    const real = createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: 60_000 });
    let now = NOW;
    let readings = 0;
    const store: typeof real = { ...real, listLiveRuns: () => ((readings += 1), real.listLiveRuns()) };
    const clock = { now: () => now };
    const records = createRecords({ store, clock });
    const deps = { store, records, wakeups, clock, ids: randomIds, recheck: async () => null };
    const dispatch = createDispatch({ ...deps, perInstallationMax: null });
    const machines = Array.from({ length: 20 }, readyMachine);
    await Promise.all(machines.map((value) => real.commit([{ kind: "machine", value, version: 0 }])));
    const ask = () => Promise.all(machines.map(({ id }) => dispatch.claim(id)));
    expect((await ask()).filter((given) => given !== null)).toEqual([]);
    expect(readings).toBe(1);
    const run = queuedRun(NOW + 1, 7);
    await real.commit([{ kind: "run", value: run, version: 0 }]);
    now += 200;
    expect((await ask()).flatMap((given) => given?.run ?? [])).toEqual([run.id]);
  });

  it("share no reading that failed", async () => {
    const real = createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: 60_000 });
    let isAway = true;
    const away = () => Promise.reject(new AppError("STORE_UNAVAILABLE", "away"));
    const store: typeof real = { ...real, listLiveRuns: () => (isAway ? away() : real.listLiveRuns()) };
    const clock = { now: () => NOW };
    const records = createRecords({ store, clock });
    const deps = { store, records, wakeups, clock, ids: randomIds, recheck: async () => null };
    const dispatch = createDispatch({ ...deps, perInstallationMax: null });
    const machine = readyMachine();
    const run = queuedRun(NOW, 7);
    await real.commit([
      { kind: "machine", value: machine, version: 0 },
      { kind: "run", value: run, version: 0 },
    ]);
    await expect(dispatch.claim(machine.id)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    isAway = false;
    expect(await dispatch.claim(machine.id)).toMatchObject({ run: run.id });
  });

  it("get none of an installation that has as many as it may have", async () => {
    const { addRun, claim } = open(1);
    const [one, , three] = [await addRun(7), await addRun(7), await addRun(8)];
    expect([await claim(), await claim(), await claim()]).toEqual([one.id, three.id, null]);
  });

  it("get no more than that when all ask at once", async () => {
    const { addRun, claim, store } = open(2);
    for (let i = 0; i < 6; i++) {
      await addRun(7);
    }
    await Promise.all(Array.from({ length: 6 }, () => claim()));
    const running = (await store.listLiveRuns()).filter(({ phase }) => phase === "running");
    expect(running).toHaveLength(2);
  });

  it("get no more than that when they ask several processes at once", async () => {
    for (const most of [1, 2, 3]) {
      const { addRun, claim, store } = open(most, { processes: 3 });
      for (let i = 0; i < 12; i++) {
        await addRun(i % 2 === 0 ? 7 : 8);
      }
      for (let again = 0; again < 3; again++) {
        await Promise.all(Array.from({ length: 9 }, () => claim()));
      }
      const running = (await store.listLiveRuns()).filter(({ phase }) => phase === "running");
      const installations = running.map(({ request: { origin } }) => "installation" in origin && origin.installation);
      expect(installations.filter((one) => one === 7)).toHaveLength(most);
      expect(installations.filter((one) => one === 8)).toHaveLength(most);
    }
  });

  it("get no more than that when two processes have counted before either has written", async () => {
    const real = createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: 60_000 });
    const bothCounted = Promise.withResolvers<void>();
    let counted = 0;
    const store: typeof real = {
      ...real,
      async commit(writes) {
        if (writes.some(({ kind }) => kind === "machine") && (counted += 1) <= 2) {
          if (counted === 2) {
            bothCounted.resolve();
          }
          await bothCounted.promise;
        }
        return real.commit(writes);
      },
    };
    const clock = { now: () => NOW };
    const runs = [queuedRun(NOW + 1, 7), queuedRun(NOW + 2, 7)];
    await real.commit(runs.map((value) => ({ kind: "run", value, version: 0 })));
    // GitHub answers each process about another run, which is the first in line then.
    const claims = runs.map(async (mine) => {
      const recheck: RecheckRun = ({ id }) =>
        id === mine.id ? Promise.resolve(null) : Promise.reject(new AppError("GITHUB_UNAVAILABLE", "502"));
      const deps = { store, records: createRecords({ store, clock }), wakeups, clock, ids: randomIds, recheck };
      const dispatch = createDispatch({ ...deps, perInstallationMax: 1 });
      const machine = readyMachine();
      await real.commit([{ kind: "machine", value: machine, version: 0 }]);
      return (await dispatch.claim(machine.id)) ?? dispatch.claim(machine.id);
    });
    const given = (await Promise.all(claims)).filter((assignment) => assignment !== null);
    expect(given).toHaveLength(1);
    const running = (await real.listLiveRuns()).filter(({ phase }) => phase === "running");
    expect(running).toHaveLength(1);
  });

  it("are given the next run in line while GitHub says nothing about the first, which keeps its place", async () => {
    let fault: AppError | null = new AppError("GITHUB_UNAVAILABLE", "502");
    const { addRun, claim, pass } = open(null, {
      recheck: async (run) => (fault !== null && run.createdAt === NOW + 1 ? Promise.reject(fault) : null),
    });
    const [one, two, three] = [await addRun(7), await addRun(8), await addRun(9)];
    expect(await claim()).toBe(two.id);
    fault = null;
    pass(10_000);
    expect([await claim(), await claim()]).toEqual([one.id, three.id]);
  });

  it("are given the next run in line while GitHub is slow about the first, of the same installation too", async () => {
    const slow = Promise.withResolvers<null>();
    const { addRun, claim } = open(1, {
      recheck: (run) => (run.createdAt === NOW + 1 ? slow.promise : Promise.resolve(null)),
    });
    const [one, two] = [await addRun(7), await addRun(7)];
    const given: unknown[] = [];
    const ask = () => void claim().then((run) => given.push(run));
    await expect.poll(() => (ask(), given)).toContain(two.id);
    slow.resolve(null);
    await expect.poll(() => given.length).toBeGreaterThan(1);
    expect(given).not.toContain(one.id);
  });

  it("are given a run that GitHub is slow about when there is no other", async () => {
    const slow = Promise.withResolvers<null>();
    const { addRun, claim } = open(null, { recheck: () => slow.promise });
    const one = await addRun(7);
    const first = claim();
    setImmediate(() => slow.resolve(null));
    expect(await first).toBe(one.id);
  });

  it("are told when the store does not answer", async () => {
    const { addRun, claim } = open(null, { recheck: () => Promise.reject(new AppError("STORE_UNAVAILABLE", "away")) });
    await addRun(7);
    await expect(claim()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });
});
