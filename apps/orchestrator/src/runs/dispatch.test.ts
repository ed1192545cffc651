import {
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

/** A dispatch over a real store. */
function open(perInstallationMax: number | null) {
  const clock = { now: () => NOW };
  const store = createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: 60_000 });
  const dispatch = createDispatch({
    store,
    records: createRecords({ store, clock }),
    wakeups,
    clock,
    ids: randomIds,
    recheck: async () => null,
    perInstallationMax,
  });
  let runs = 0;
  return {
    store,
    async addRun(installation: number): Promise<Run> {
      const value = queuedRun(NOW + (runs += 1), installation);
      await store.commit([{ kind: "run", value, version: 0 }]);
      return value;
    },
    async claim() {
      const machine = readyMachine();
      await store.commit([{ kind: "machine", value: machine, version: 0 }]);
      return (await dispatch.claim(machine.id))?.run ?? null;
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
});
