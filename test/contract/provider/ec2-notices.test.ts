import assert from "node:assert/strict";
import {
  type Machine,
  type MachineId,
  type Run,
  requestRun,
  type RunId,
  defaultTask,
  recordMachine,
} from "@mayfly/core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createFleet } from "../../../apps/orchestrator/src/fleet/controller.ts";
import { createLaunchSteps } from "../../../apps/orchestrator/src/fleet/launch-steps.ts";
import { createMachineSteps } from "../../../apps/orchestrator/src/fleet/machine-steps.ts";
import { createNoticeHandler, type Notices } from "../../../apps/orchestrator/src/fleet/notices.ts";
import {
  createInterruptionNotices,
  createSqsClient,
} from "../../../apps/orchestrator/src/fleet/providers/ec2/interruption-notices.ts";
import { instanceIdOf } from "../../../apps/orchestrator/src/fleet/providers/ec2/machine-id.ts";
import { randomIds } from "../../../apps/orchestrator/src/host/ids.ts";
import { createLog } from "../../../apps/orchestrator/src/host/log.ts";
import { createDispatch } from "../../../apps/orchestrator/src/runs/dispatch.ts";
import { createRecords } from "../../../apps/orchestrator/src/runs/records.ts";
import { createRecordStore } from "../../../apps/orchestrator/src/store/records.ts";
import { startTestRedis, type TestRedis, until } from "../../../apps/orchestrator/src/store/test-redis.fixture.ts";
import { type SqsFake, startSqsFake } from "../../fakes/sqs/server.ts";
import { type Ec2World, openEc2World } from "./ec2-world.ts";

const { log } = createLog({ level: "silent" });
const source = { head: "a".repeat(40), base: null, merge_base: null, shallow: [], pack_bytes: 1, pack_sha256: "" };

describe("a notice that EC2 takes a machine back", () => {
  let server: TestRedis;
  let world: Ec2World;
  let sqs: SqsFake;
  let notices: Notices;
  let parts: ReturnType<typeof open>;

  beforeAll(async () => {
    server = await startTestRedis();
  });
  afterAll(() => server.end());

  beforeEach(async () => {
    world = await openEc2World();
    sqs = await startSqsFake();
    parts = open();
    notices = parts.notices;
  });

  afterEach(async () => {
    await notices.close();
    await sqs.close();
    await world.close();
    assert.deepEqual(sqs.violations, []);
  });

  /** The service's own parts, in the time of the stand-in for EC2, around one Redis and both stand-ins. */
  function open(queue = sqs) {
    const clock = { now: world.now };
    const ids = randomIds;
    const store = createRecordStore({ redis: server.redis, prefix: server.prefix(), keepFinishedMs: 1e9 });
    const records = createRecords({ store, clock });
    const woken: MachineId[] = [];
    const wakeups = {
      wakeRun: async () => undefined,
      wakeLaunch: async () => undefined,
      wakeMachine: async (id: MachineId) => void woken.push(id),
    };
    const { provider } = world;
    const shared = { store, records, provider, wakeups, clock, log };
    const settings = {
      machinesMax: 5,
      machinesPerInstallationMax: null,
      launchesPerHourMax: 100,
      warm: 0,
      warmMax: 0,
      warmSchedule: [],
      money: null,
      runMsMax: 3_600_000,
    };
    const channels = { ensureOpen: async () => undefined, ensureClosed: async () => undefined };
    const { queueUrl, region, credentials } = queue;
    return {
      store,
      records,
      woken,
      fleet: createFleet({ ...shared, ids, settings, launchFailuresMax: null }),
      launches: createLaunchSteps(shared),
      machines: createMachineSteps({ ...shared, channels }),
      dispatch: createDispatch({ ...shared, ids, recheck: async () => null, perInstallationMax: null }),
      handle: createNoticeHandler(shared),
      notices: createInterruptionNotices({
        sqs: createSqsClient({ region, queueUrl, credentials }),
        queueUrl,
        region,
        provider,
        log,
        pause: () => new Promise((resolve) => setTimeout(resolve, 10)),
      }),
    };
  }

  async function addRun(): Promise<RunId> {
    const { store, records } = parts;
    const id = randomIds.run(world.now());
    const origin = { kind: "local", user: "dev", path: "/tmp/example" } as const;
    const task = defaultTask("t", "m");
    const request = { origin, requestedAt: world.now(), task, taskDigest: null, prompt: "p" };
    await store.commit([{ kind: "run", value: requestRun({ id, request, now: world.now() }), version: 0 }]);
    await records.applyToRun(id, { type: "source_prepared", layout: source });
    return id;
  }

  async function loadRun(id: RunId): Promise<Run> {
    const found = await parts.store.loadRun(id);
    assert(found !== null);
    return found.value;
  }

  /** Launches what the fleet wants; every machine says its first word. */
  async function launchAll(): Promise<Machine[]> {
    await parts.fleet.reconcile();
    for (const { id } of await parts.store.listLiveLaunches()) {
      await parts.launches.stepLaunch(id);
    }
    const machines = await parts.store.listLiveMachines();
    for (const { id } of machines) {
      await parts.records.applyToMachine(id, { type: "hello" });
    }
    return machines;
  }

  /** Steps a machine that is to be destroyed until it is gone. */
  async function end(machine: MachineId): Promise<void> {
    for (let steps = 0; steps < 20; steps++) {
      await parts.machines.stepMachine(machine);
      if ((await parts.store.loadMachine(machine))?.value.phase === "gone") {
        return;
      }
      await world.pass(10_000);
    }
    throw new Error("a machine resists");
  }

  /** A run at work on a spot machine. */
  async function beginRun(): Promise<{ run: RunId; machine: MachineId }> {
    const run = await addRun();
    const [machine] = await launchAll();
    assert(machine !== undefined && machine.interruptible === true);
    expect(await parts.dispatch.claim(machine.id)).toMatchObject({ run });
    return { run, machine: machine.id };
  }

  function warning(machine: MachineId, overrides: object = {}): string {
    return JSON.stringify({
      version: "0",
      id: "12345678-1234-1234-1234-123456789012",
      "detail-type": "EC2 Spot Instance Interruption Warning",
      source: "aws.ec2",
      account: sqs.account,
      time: "2026-11-22T12:00:00Z",
      region: sqs.region,
      resources: [],
      detail: { "instance-id": instanceIdOf(machine), "instance-action": "terminate" },
      ...overrides,
    });
  }

  const stateChange = (machine: MachineId, state: string): string =>
    warning(machine, {
      "detail-type": "EC2 Instance State-change Notification",
      detail: { "instance-id": instanceIdOf(machine), state },
    });

  /** All that is in the queue has been handled. */
  async function drain(): Promise<void> {
    notices.start(parts.handle);
    await until(() => sqs.left() === 0);
  }

  it("loses the attempt at once, and the run goes on with an on-demand machine and no other", async () => {
    const { run, machine } = await beginRun();
    sqs.put(warning(machine));
    await drain();
    expect(parts.woken).toContain(machine);
    await end(machine);
    expect(await loadRun(run)).toMatchObject({
      phase: "queued",
      epoch: 1,
      takenBack: { machine, epoch: 1 },
      waitingFor: "an on-demand machine, since AWS took the last one back",
    });
    expect(world.fake.state.left().instances).toBe(0);

    // A spot machine that waits, from a launch of before, is not for this run.
    const idle = world.intend(1);
    const [spot] = (await world.provider.ensureLaunched(idle)).machines;
    assert(spot !== undefined);
    const value = recordMachine({ id: spot, launch: idle, now: world.now() });
    await parts.store.commit([{ kind: "machine", value, version: 0 }]);
    await parts.records.applyToMachine(spot, { type: "hello" });
    expect(await parts.dispatch.claim(spot)).toBeNull();

    await launchAll();
    expect((await loadRun(run)).phase).toBe("queued");
    const others = (await parts.store.listLiveMachines()).filter((one) => one.interruptible !== true);
    expect(others).toHaveLength(1);
    const seen = world.fake.state.instances().find(({ id }) => id === instanceIdOf(others[0]?.id ?? machine));
    expect(seen).toMatchObject({ blueprint: { lifecycle: "on-demand" } });
    expect(await parts.dispatch.claim(others[0]?.id ?? machine)).toMatchObject({ run, epoch: 2 });
  });

  it("is believed of what the listing shows as taken back, though only its end was told", async () => {
    const { run, machine } = await beginRun();
    world.fake.interrupt(instanceIdOf(machine) ?? "");
    sqs.put(stateChange(machine, "shutting-down"));
    await drain();
    await end(machine);
    expect(await loadRun(run)).toMatchObject({ phase: "queued", takenBack: { machine } });
  });

  it("lets a machine that ended by itself be lost at once too, and its run takes any machine", async () => {
    const { run, machine } = await beginRun();
    world.fake.powerOff(instanceIdOf(machine) ?? "");
    sqs.put(stateChange(machine, "terminated"));
    await drain();
    await end(machine);
    const after = await loadRun(run);
    expect(after).toMatchObject({ phase: "queued", epoch: 1 });
    expect(after.takenBack).toBeUndefined();
  });

  it("changes nothing where the listing knows better, or the event is not about us", async () => {
    const { run, machine } = await beginRun();
    const steady = world.provider.planLaunch(1, true);
    expect(steady).toMatchObject({ interruptible: false, plan: { purchase: "on-demand" } });
    const calls = world.calls("DescribeInstances");
    const foreign = [
      warning(machine, { account: "999999999999" }),
      warning(machine, { region: "us-east-1" }),
      warning(machine, { source: "aws.fake" }),
      warning("mch_00000000000000000000" as MachineId),
      warning(machine, { "detail-type": "EC2 Instance Rebalance Recommendation" }),
      warning(machine, { detail: { "instance-id": `${instanceIdOf(machine)}0` } }),
      warning(machine).replace('"source"', '"region":"x","source"'),
      "not JSON",
      "{".repeat(20_000),
    ];
    foreign.forEach(sqs.put);
    await drain();
    expect(world.calls("DescribeInstances")).toBe(calls);
    await notices.close();

    notices = open().notices;
    sqs.put(stateChange(machine, "terminated"));
    await drain();
    expect(world.calls("DescribeInstances")).toBe(calls + 1);
    expect((await loadRun(run)).phase).toBe("running");
  });

  it("does nothing to an on-demand machine, which nobody takes back", async () => {
    await notices.close();
    await world.close();
    world = await openEc2World({ config: { spot: false } });
    parts = open();
    notices = parts.notices;
    const run = await addRun();
    const [machine] = await launchAll();
    assert(machine !== undefined && machine.interruptible === undefined);
    await parts.dispatch.claim(machine.id);
    sqs.put(warning(machine.id));
    await drain();
    expect((await loadRun(run)).phase).toBe("running");
  });

  it("is handled again while the store or EC2 does not answer, and given up in the end", async () => {
    await notices.close();
    await sqs.close();
    let now = 0;
    sqs = await startSqsFake({ clock: () => now });
    parts = open(sqs);
    notices = parts.notices;
    let tries = 0;
    sqs.put(warning("mch_00000000000000000001" as MachineId));
    notices.start(async () => {
      tries += 1;
      // What is not deleted is visible again some time later.
      now += 30_000;
      throw new Error("the store does not answer");
    });
    await until(() => sqs.left() === 0);
    expect(tries).toBe(5);
  });

  it("may come twice, and while the queue does not answer nothing else is harmed", async () => {
    await notices.close();
    await sqs.close();
    sqs = await startSqsFake({ duplicates: 0.5, seed: 3 });
    parts = open(sqs);
    notices = parts.notices;
    const { run, machine } = await beginRun();
    sqs.fail({ code: "ServiceUnavailable", status: 503 });
    for (let copies = 0; copies < 5; copies++) {
      sqs.put(warning(machine));
    }
    notices.start(parts.handle);
    await until(() => sqs.calls.length >= 3);
    sqs.fail(null);
    await until(() => sqs.left() === 0);
    await end(machine);
    expect(await loadRun(run)).toMatchObject({ phase: "queued", epoch: 1 });
  });
});
