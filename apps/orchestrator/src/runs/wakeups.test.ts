import { rm } from "node:fs/promises";
import type { DeliveryId, LaunchId, MachineId, RunId } from "@mayfly/core";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectForQueue } from "../store/connection.ts";
import { type EmbeddedRedis, startEmbeddedRedis } from "../store/embedded-redis.ts";
import { makeFolder, until } from "../store/test-redis.fixture.ts";
import { createWakeupQueue, type WakeupQueue } from "./wakeups.ts";

const RUN = `run_${"1".repeat(20)}` as RunId;
const MACHINE = `mch_${"1".repeat(20)}` as MachineId;
const LAUNCH = `lch_${"1".repeat(20)}` as LaunchId;
const DELIVERY = "d-1" as DeliveryId;
const SELDOM_MS = 3_600_000;

let folder: string;
let embedded: EmbeddedRedis;
const queues: WakeupQueue[] = [];

beforeEach(async () => {
  folder = await makeFolder();
  embedded = await startEmbeddedRedis(folder);
});
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.close()));
  await embedded.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** A queue at work, and what it has woken. */
async function startQueue(options: { reconcileMs?: number; run?: (id: RunId) => Promise<void> } = {}) {
  const queue = createWakeupQueue({
    connect: () => connectForQueue(embedded.address),
    prefix: "t:",
    log: pino({ level: "silent" }),
  });
  queues.push(queue);
  const woken: string[] = [];
  const note = (id: string) => {
    woken.push(id);
    return Promise.resolve();
  };
  await queue.start({
    run: options.run ?? note,
    machine: note,
    launch: note,
    delivery: note,
    reconcile: () => note("reconcile"),
    reconcileMs: options.reconcileMs ?? SELDOM_MS,
  });
  return { queue, woken };
}

const count = (woken: readonly string[], id: string) => woken.filter((one) => one === id).length;

describe("wake-ups", () => {
  it("reach the step of their kind", async () => {
    const { queue, woken } = await startQueue();
    await queue.wakeRun(RUN);
    await queue.wakeMachine(MACHINE);
    await queue.wakeLaunch(LAUNCH);
    await queue.wakeDelivery(DELIVERY);
    const all = [RUN, MACHINE, LAUNCH, DELIVERY];
    await until(() => all.every((id) => woken.includes(id)));
    expect(all.map((id) => count(woken, id))).toEqual([1, 1, 1, 1]);
  });

  it("come as often as they were asked for: none is swallowed as a repeat", async () => {
    const { queue, woken } = await startQueue();
    await Promise.all(Array.from({ length: 5 }, () => queue.wakeRun(RUN)));
    await queue.wakeMachine(MACHINE, 100);
    await until(() => woken.includes(MACHINE));
    expect(count(woken, RUN)).toBe(5);
  });

  it("wait as long as they were told to", async () => {
    const { queue, woken } = await startQueue();
    const began = performance.now();
    await queue.wakeRun(RUN, 300);
    await queue.wakeMachine(MACHINE);
    await until(() => woken.includes(RUN));
    expect(performance.now() - began).toBeGreaterThanOrEqual(290);
    expect(woken.indexOf(MACHINE)).toBeLessThan(woken.indexOf(RUN));
  });

  it("come again and again for reconciliation", async () => {
    const { woken } = await startQueue({ reconcileMs: 50 });
    await until(() => count(woken, "reconcile") >= 3);
    expect(new Set(woken)).toEqual(new Set(["reconcile"]));
  });

  it("go on after a step has failed", async () => {
    let calls = 0;
    const { queue, woken } = await startQueue({
      run() {
        calls += 1;
        return Promise.reject(new Error("no"));
      },
    });
    await queue.wakeRun(RUN);
    await until(() => calls === 1);
    await queue.wakeMachine(MACHINE);
    await until(() => woken.includes(MACHINE));
    expect(calls).toBe(1);
  });

  it("that were asked for before Redis restarted come after it, and so do later ones", async () => {
    const { queue, woken } = await startQueue({ reconcileMs: 100 });
    await queue.wakeRun(RUN, 2_000);
    await embedded.stop();
    // Nobody waits while it is away: what is lost here is found by the next reconciliation.
    await queue.wakeMachine(MACHINE);
    embedded = await startEmbeddedRedis(folder);
    const before = count(woken, "reconcile");
    await until(() => woken.includes(RUN) && count(woken, "reconcile") > before);
    await until(async () => {
      await queue.wakeMachine(MACHINE);
      return woken.includes(MACHINE);
    });
    expect(count(woken, RUN)).toBe(1);
  });

  it("hold up nobody for long while Redis hangs", async () => {
    const { queue } = await startQueue();
    process.kill(embedded.pid, "SIGSTOP");
    try {
      const began = performance.now();
      await queue.wakeRun(RUN);
      await queue.wakeMachine(MACHINE, 1_000);
      expect(performance.now() - began).toBeLessThan(12_000);
    } finally {
      process.kill(embedded.pid, "SIGCONT");
    }
  });

  it("end when the queue is closed", async () => {
    const { queue, woken } = await startQueue({ reconcileMs: 50 });
    await until(() => woken.includes("reconcile"));
    await queue.close();
    const seen = woken.length;
    await queue.wakeRun(RUN);
    const { woken: next } = await startQueue({ reconcileMs: 50 });
    await until(() => count(next, "reconcile") >= 2);
    expect(woken).toHaveLength(seen);
    expect(next).not.toContain(RUN);
  });

  it("do not hold up the end of the service with a step that hangs", async () => {
    let begun = false;
    const { queue } = await startQueue({
      run() {
        begun = true;
        return new Promise(() => undefined);
      },
    });
    await queue.wakeRun(RUN);
    await until(() => begun);
    const began = performance.now();
    await queue.close();
    expect(performance.now() - began).toBeLessThan(12_000);
  });

  it("do not hold up the end of the service with a Redis that is away", async () => {
    const { queue } = await startQueue();
    await embedded.stop();
    const began = performance.now();
    await queue.close();
    expect(performance.now() - began).toBeLessThan(12_000);
    embedded = await startEmbeddedRedis(folder);
  });
});
