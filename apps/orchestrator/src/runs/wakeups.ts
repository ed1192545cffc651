import { setTimeout as wait } from "node:timers/promises";
import {
  type DeliveryId,
  isDeliveryId,
  isLaunchId,
  isMachineId,
  isRunId,
  type LaunchId,
  type MachineId,
  type RunId,
  type Wakeups,
} from "@mayfly/core";
import { Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { z } from "zod";

/** Steps at work at once. Each waits for something else nearly all its time. */
const CONCURRENCY = 32;
/** How long a Redis that says nothing holds up who wakes; a wake-up that is there later does no harm. */
const WAKE_MS = 2_000;
/** How long a step at work, or a Redis that is away, holds up the end of the service. */
const CLOSE_MS = 2_000;
/** Failed wake-ups are kept for a look, not for ever. */
const KEEP_FAILED = { age: 24 * 3600, count: 1_000 };

const Wake = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("run"), id: z.string().refine(isRunId) }),
  z.strictObject({ kind: z.literal("machine"), id: z.string().refine(isMachineId) }),
  z.strictObject({ kind: z.literal("launch"), id: z.string().refine(isLaunchId) }),
  z.strictObject({ kind: z.literal("delivery"), id: z.string().refine(isDeliveryId) }),
  z.strictObject({ kind: z.literal("reconcile") }),
]);

/** The queue that wakes steps. */
export interface WakeupQueue extends Wakeups {
  wakeDelivery(id: DeliveryId): Promise<void>;
  /** Begins to take wake-ups. `reconcile` runs every `reconcileMs`, on one service of the fleet at a time. */
  start(steps: {
    run: (id: RunId) => Promise<void>;
    machine: (id: MachineId) => Promise<void>;
    launch: (id: LaunchId) => Promise<void>;
    delivery: (id: DeliveryId) => Promise<void>;
    reconcile: () => Promise<void>;
    reconcileMs: number;
  }): Promise<void>;
  /** Waits for the steps at work, at most a moment, then lets go: an interrupted step is taken again at the next start. */
  close(): Promise<void>;
}

/**
 * BullMQ as the dispatcher of short steps. Jobs carry ids and no truth: whoever is woken looks at the record.
 *
 * @param connect A new connection that waits while Redis is away; closed here.
 */
export function createWakeupQueue(deps: { connect: () => Redis; prefix: string; log: Logger }): WakeupQueue {
  const { connect, prefix, log } = deps;
  const name = "wakeups";
  const bullPrefix = `${prefix}queue`;
  const producing = connect();
  const queue = new Queue(name, {
    connection: producing,
    prefix: bullPrefix,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: KEEP_FAILED },
  });
  queue.on("error", (err) => log.debug({ err }, "the wake-up queue lost Redis"));
  let worker: Worker | null = null;
  let consuming: Redis | null = null;
  let closing: Promise<void> | null = null;

  async function wake(data: z.infer<typeof Wake>, delayMs = 0): Promise<void> {
    // While Redis is away nothing is lost: the next reconciliation wakes whatever is due.
    if (producing.status === "ready") {
      const added = queue
        .add(data.kind, data, { delay: delayMs })
        .catch((err: unknown) => log.debug({ err }, "a wake-up was not queued"));
      if (!(await endsSoon(added, WAKE_MS))) {
        log.debug({ wake: data }, "a wake-up is not queued yet");
      }
    }
  }

  async function letGo(): Promise<void> {
    await Promise.all([worker === null ? null : letWorkerGo(worker), endsSoon(queue.close())]);
    producing.disconnect();
    consuming?.disconnect();
  }

  return {
    wakeRun: (id, delayMs) => wake({ kind: "run", id }, delayMs),
    wakeMachine: (id, delayMs) => wake({ kind: "machine", id }, delayMs),
    wakeLaunch: (id, delayMs) => wake({ kind: "launch", id }, delayMs),
    wakeDelivery: (id) => wake({ kind: "delivery", id }),
    async start({ run, machine, launch, delivery, reconcile, reconcileMs }) {
      consuming = connect();
      worker = new Worker(
        name,
        async (job) => {
          const data = Wake.parse(job.data);
          switch (data.kind) {
            case "run":
              return run(data.id);
            case "machine":
              return machine(data.id);
            case "launch":
              return launch(data.id);
            case "delivery":
              return delivery(data.id);
            case "reconcile":
              return reconcile();
          }
        },
        { connection: consuming, prefix: bullPrefix, concurrency: CONCURRENCY },
      );
      worker.on("error", (err) => log.debug({ err }, "the wake-up worker lost Redis"));
      worker.on("failed", (job, err) =>
        log.warn({ job: job?.data, err }, "a step failed; reconciliation takes it again"),
      );
      await queue.upsertJobScheduler(
        "reconcile",
        { every: reconcileMs },
        { name: "reconcile", data: { kind: "reconcile" } },
      );
    },
    close() {
      closing ??= letGo();
      return closing;
    },
  };
}

/** Steps at work may end; one that does not is left behind with its connections cut. */
async function letWorkerGo(worker: Worker): Promise<void> {
  if (!(await endsSoon(worker.close()))) {
    await endsSoon(worker.disconnect());
  }
}

/** Whether it ends, one way or the other, within `ms`. */
async function endsSoon(ending: Promise<unknown>, ms = CLOSE_MS): Promise<boolean> {
  const patience = new AbortController();
  const ended = ending.then(
    () => true,
    () => true,
  );
  const tooLong = wait(ms, false, { signal: patience.signal }).catch(() => false);
  const inTime = await Promise.race([ended, tooLong]);
  patience.abort();
  return inTime;
}
