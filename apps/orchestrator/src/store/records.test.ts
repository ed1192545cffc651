import {
  decideLaunch,
  type Digest,
  type FleetRecord,
  intendLaunch,
  type Launch,
  type LaunchId,
  type Machine,
  type MachineId,
  recordMachine,
  requestRun,
  type Run,
  type RunId,
  defaultTask,
} from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRecordStore } from "./records.ts";
import { startTestRedis, type TestRedis } from "./test-redis.fixture.ts";

const T0 = 1_700_000_000_000;
const KEEP_MS = 60_000;
let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

function setUp() {
  const prefix = server.prefix();
  return { prefix, store: createRecordStore({ redis: server.redis, prefix, keepFinishedMs: KEEP_MS }) };
}

function run(digit: string, createdAt = T0): Run {
  const request = {
    origin: { kind: "local", user: "dev", path: "/tmp/example" },
    requestedAt: T0,
    task: defaultTask("local", "example-model"),
    taskDigest: null,
    prompt: "p",
  } as const;
  return requestRun({ id: `run_${digit.repeat(20)}` as RunId, request, now: createdAt });
}

function launch(digit: string, createdAt = T0): Launch {
  const image = `sha256:${"a".repeat(64)}` as Digest;
  const provider = { name: "qemu", acceleration: "kvm", image, spec: image } as const;
  const id = `lch_${digit.repeat(20)}` as LaunchId;
  return intendLaunch({ id, provider, count: 1, plan: { zone: "a" }, now: createdAt, runMsMax: 1_000 });
}

function machine(digit: string): Machine {
  return recordMachine({ id: `mch_${digit.repeat(20)}` as MachineId, launch: launch(digit), now: T0 });
}

function done(value: Run, archived: boolean): Run {
  const ending = { outcome: "cancelled", code: "operator", detail: "" } as const;
  const publication = { kind: "none", url: null, commentId: null, checkRunId: null } as const;
  return {
    ...value,
    phase: "done",
    attempt: null,
    ending,
    resultDigest: null,
    publication,
    endedAt: T0,
    archived,
  };
}

describe("records", () => {
  it("gives back what was written, and null for what was not", async () => {
    const { store } = setUp();
    expect(await store.commit([{ kind: "run", value: run("1"), version: 0 }])).toBe("committed");
    expect(await store.loadRun(run("1").id)).toEqual({ value: run("1"), version: 1 });
    expect(await store.loadRun(run("2").id)).toBeNull();
    expect(await store.loadMachine(machine("1").id)).toBeNull();
  });

  it("refuses a write that has not seen the last one", async () => {
    const { store } = setUp();
    await store.commit([{ kind: "run", value: run("1"), version: 0 }]);
    const later = { ...run("1"), modelCalls: 1 };
    const lost = { ...run("1"), modelCalls: 99 };
    expect(await store.commit([{ kind: "run", value: later, version: 1 }])).toBe("committed");
    expect(await store.commit([{ kind: "run", value: lost, version: 1 }])).toBe("conflict");
    expect(await store.commit([{ kind: "run", value: lost, version: 0 }])).toBe("conflict");
    expect(await store.commit([{ kind: "run", value: lost, version: 3 }])).toBe("conflict");
    expect(await store.loadRun(later.id)).toEqual({ value: later, version: 2 });
  });

  it("lets exactly one of many writers win", async () => {
    const { store } = setUp();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        store.commit([{ kind: "run", value: { ...run("1"), modelCalls: i }, version: 0 }]),
      ),
    );
    expect(answers.filter((answer) => answer === "committed")).toHaveLength(1);
  });

  it("writes two records or neither", async () => {
    const { store } = setUp();
    await store.commit([{ kind: "machine", value: machine("1"), version: 0 }]);
    const both = (version: number) =>
      store.commit([
        { kind: "run", value: run("1"), version: 0 },
        { kind: "machine", value: machine("1"), version },
      ]);
    expect(await both(0)).toBe("conflict");
    expect(await store.loadRun(run("1").id)).toBeNull();
    expect(await store.listLiveRuns()).toEqual([]);
    expect(await both(1)).toBe("committed");
    expect((await store.loadMachine(machine("1").id))?.version).toBe(2);
    expect((await store.loadRun(run("1").id))?.version).toBe(1);
  });

  it("refuses a commit of nothing, and one too big", async () => {
    const { store } = setUp();
    await expect(store.commit([])).rejects.toThrow(RangeError);
    const write = { kind: "run", value: run("1"), version: 0 } as const;
    await expect(store.commit([write, write, write, write, write])).rejects.toThrow(RangeError);
  });

  it("lists live runs oldest first until they are done and archived", async () => {
    const { store } = setUp();
    const [older, newer] = [run("2", T0 - 1), run("1", T0)];
    await store.commit([{ kind: "run", value: newer, version: 0 }]);
    await store.commit([{ kind: "run", value: older, version: 0 }]);
    expect((await store.listLiveRuns()).map(({ id }) => id)).toEqual([older.id, newer.id]);
    await store.commit([{ kind: "run", value: done(older, false), version: 1 }]);
    expect(await store.listLiveRuns()).toHaveLength(2);
    await store.commit([{ kind: "run", value: done(older, true), version: 2 }]);
    expect((await store.listLiveRuns()).map(({ id }) => id)).toEqual([newer.id]);
    expect((await store.listRecentRuns(10)).map(({ id }) => id)).toEqual([newer.id, older.id]);
    expect((await store.listRecentRuns(1)).map(({ id }) => id)).toEqual([newer.id]);
    expect(await store.listRecentRuns(0)).toEqual([]);
  });

  it("lists machines until they are gone", async () => {
    const { store } = setUp();
    const one = machine("1");
    await store.commit([{ kind: "machine", value: one, version: 0 }]);
    expect(await store.listLiveMachines()).toEqual([one]);
    const gone = { ...one, phase: "gone", why: "idle", evidence: { at: T0, checks: [] }, claim: null } as Machine;
    await store.commit([{ kind: "machine", value: gone, version: 1 }]);
    expect(await store.listLiveMachines()).toEqual([]);
    expect((await store.loadMachine(one.id))?.value).toEqual(gone);
  });

  it("lists launches until they are settled, and those of a time afterwards", async () => {
    const { store } = setUp();
    const [older, newer] = [launch("1"), launch("2", T0 + 10)];
    await store.commit([
      { kind: "launch", value: older, version: 0 },
      { kind: "launch", value: newer, version: 0 },
    ]);
    expect(await store.loadLaunch(older.id)).toEqual({ value: older, version: 1 });
    expect(await store.listLiveLaunches()).toEqual([older, newer]);
    const settled = decideLaunch(older, { type: "failed", reason: "no" }, T0).launch;
    await store.commit([{ kind: "launch", value: settled, version: 1 }]);
    expect(await store.listLiveLaunches()).toEqual([newer]);
    expect(await store.listLaunchesSince(T0)).toEqual([older.id, newer.id]);
    expect(await store.listLaunchesSince(T0 + 1)).toEqual([newer.id]);
    expect(await store.loadLaunch(`lch_${"3".repeat(20)}` as LaunchId)).toBeNull();
  });

  it("writes a launch together with the look that planned it, or not at all", async () => {
    const { store } = setUp();
    const look = { schema: 1, id: "fleet", createdAt: T0, lookedAt: T0, endedAt: null } as const;
    expect(await store.loadFleet()).toBeNull();
    await store.commit([{ kind: "fleet", value: look, version: 0 }]);
    const plan = (value: Launch, version: number) =>
      store.commit([
        { kind: "launch", value, version: 0 },
        { kind: "fleet", value: look, version },
      ]);
    expect(await plan(launch("1"), 1)).toBe("committed");
    expect(await plan(launch("2"), 1)).toBe("conflict");
    expect(await store.listLiveLaunches()).toEqual([launch("1")]);
    expect(await store.loadFleet()).toEqual({ value: look, version: 2 });
  });

  it("reads what an earlier version wrote", async () => {
    const { store } = setUp();
    const { launch: _launch, spec: _spec, launchedAt: _at, enrolled: _enrolled, ...former } = machine("1");
    const value = { ...former, phase: "intended" } as unknown as Machine;
    await store.commit([{ kind: "machine", value, version: 0 }]);
    const upgraded = { id: value.id, phase: "destroying", why: "launch_failed", launchedAt: T0, spec: value.image };
    expect(await store.loadMachine(value.id)).toMatchObject({ version: 1, value: upgraded });
    expect(await store.listLiveMachines()).toMatchObject([upgraded]);
    const look = { schema: 1, id: "fleet", createdAt: T0, lookedAt: T0 + 1 } as FleetRecord;
    await store.commit([{ kind: "fleet", value: look, version: 0 }]);
    expect(await store.loadFleet()).toEqual({ value: { ...look, endedAt: T0 + 1 }, version: 1 });
  });

  it("lists machines of a time, gone or not, and counts its runs", async () => {
    const { store } = setUp();
    const one = machine("1");
    await store.commit([{ kind: "machine", value: one, version: 0 }]);
    const gone = { ...one, phase: "gone", why: "idle", evidence: { at: T0, checks: [] }, claim: null } as Machine;
    await store.commit([{ kind: "machine", value: gone, version: 1 }]);
    expect(await store.listMachinesSince(T0)).toEqual([one.id]);
    expect(await store.listMachinesSince(T0 + 1)).toEqual([]);
    await store.commit([{ kind: "run", value: run("1", T0 - 1), version: 0 }]);
    await store.commit([{ kind: "run", value: run("2", T0), version: 0 }]);
    expect(await store.countRunsSince(T0)).toBe(1);
  });

  it("keeps live records for ever and finished ones for a while", async () => {
    const { store, prefix } = setUp();
    const key = `${prefix}run:${run("1").id}`;
    await store.commit([{ kind: "run", value: run("1"), version: 0 }]);
    expect(await server.redis.pttl(key)).toBe(-1);
    await store.commit([{ kind: "run", value: done(run("1"), true), version: 1 }]);
    const left = await server.redis.pttl(key);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(KEEP_MS);
  });

  it("forgets an expired record in its lists too", async () => {
    const { store, prefix } = setUp();
    await store.commit([{ kind: "run", value: done(run("1"), true), version: 0 }]);
    await server.redis.del(`${prefix}run:${run("1").id}`);
    expect(await store.listRecentRuns(10)).toEqual([]);
  });

  it("keeps names under one prefix apart from those under another", async () => {
    const [one, two] = [setUp(), setUp()];
    await one.store.commit([{ kind: "run", value: run("1"), version: 0 }]);
    expect(await two.store.loadRun(run("1").id)).toBeNull();
    expect(await two.store.listLiveRuns()).toEqual([]);
  });
});
