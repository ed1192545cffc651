import {
  decideMachine,
  decideRun,
  defaultTask,
  type Digest,
  intendMachine,
  limits,
  type Machine,
  requestRun,
  type Run,
} from "@mayfly/core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { randomIds } from "../host/ids.ts";
import { createRecordStore } from "../store/records.ts";
import { startTestRedis, type TestRedis } from "../store/test-redis.fixture.ts";
import { CLAIM_MS, createDispatch, type Dispatch } from "./dispatch.ts";
import { createRecords } from "./records.ts";

let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.end());

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
    now = Date.UTC(2026, 0, 31);
    lookMs = 0;
    ended = 0;
    const clock = { now: () => now };
    store = createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: limits.finishedRunMs });
    dispatch = createDispatch({
      store,
      records: createRecords({ store, clock }),
      wakeups: { wakeRun: async () => undefined, wakeMachine: async () => undefined },
      clock,
      ids: randomIds,
      async recheck() {
        now += lookMs;
        ended -= 1;
        return ended < 0 ? null : { outcome: "cancelled", code: "label_removed", detail: "the label is gone" };
      },
    });
    run = waitingRun(now);
    machine = readyMachine(now);
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
    const others = [1, 2].map((later) => waitingRun(now + later));
    await store.commit(others.map((value) => ({ kind: "run", value, version: 0 })));
    ended = 2;
    lookMs = Math.floor(CLAIM_MS / 3) + 1;
    expect(await dispatch.claim(machine.id)).toBeNull();
    expect(await phases()).toEqual(["publishing", "ready"]);
  });
});

function waitingRun(now: number): Run {
  const request = {
    origin: { kind: "local", user: "somebody", path: "/somewhere" },
    requestedAt: now,
    task: defaultTask("local", "gpt-test"),
    taskDigest: null,
    prompt: "Review this.",
  } as const;
  const layout = {
    head: "1".repeat(40),
    base: null,
    merge_base: null,
    shallow: [],
    pack_bytes: 1,
    pack_sha256: "0".repeat(64),
  };
  return decideRun(requestRun({ id: randomIds.run(now), request, now }), { type: "source_prepared", layout }, now).run;
}

function readyMachine(now: number): Machine {
  const booting = intendMachine({
    id: randomIds.machine(now),
    provider: "qemu",
    acceleration: "emulated",
    image: `sha256:${"0".repeat(64)}` as Digest,
    now,
    runMsMax: limits.runMsMax,
  });
  return (["launched", "hello"] as const).reduce<Machine>(
    (before, type) => decideMachine(before, { type }, now).machine,
    booting,
  );
}
