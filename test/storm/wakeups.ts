import type { WakeupQueue } from "../../apps/orchestrator/src/runs/wakeups.ts";
import type { Chance } from "../fakes/ec2/chance.ts";
import type { Life } from "./life.ts";
import type { VirtualTime } from "./time.ts";

/** As many steps at once as the service's own queue takes. */
const CONCURRENCY = 32;
/** A third as often as the service looks, twice as often as EC2 is listed: it is what a storm takes its own time for. */
const RECONCILE_MS = 3_000;

type Steps = Parameters<WakeupQueue["start"]>[0];
interface Job {
  readonly name: string;
  readonly step: (steps: Steps) => Promise<void>;
  /** Its step waits for nothing but answers that come at once. */
  readonly isQuick: boolean;
}

/** Counts what became of the queue's steps. */
export interface QueueCounts {
  failed: number;
  lost: number;
  readonly failures: string[];
}

/**
 * The queue that wakes steps, in virtual time and in memory: whoever ends with it loses every wake-up, and some get lost
 * while it lives.
 */
export function createStormQueue(deps: {
  time: VirtualTime;
  life: Life;
  chance: Chance;
  lostRate: number;
  counts: QueueCounts;
}): WakeupQueue {
  const { time, life, chance, counts } = deps;
  const waiting = new Map<string, Job>();
  let steps: Steps | null = null;
  let atWork = 0;

  function pump(): void {
    for (const [name, job] of waiting) {
      if (steps === null || life.isOver() || atWork >= CONCURRENCY) {
        return;
      }
      waiting.delete(name);
      atWork += 1;
      void take(job, steps);
    }
  }

  async function take(job: Job, with_: Steps): Promise<void> {
    try {
      const work = job.step(with_);
      await (job.isQuick ? life.during(work) : work);
    } catch (error) {
      counts.failed += 1;
      counts.failures.push(`${job.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    atWork -= 1;
    pump();
  }

  async function add(job: Job, delayMs = 0): Promise<void> {
    if (life.isOver()) {
      return;
    }
    if (job.name !== "reconcile" && chance.happens(deps.lostRate)) {
      counts.lost += 1;
      return;
    }
    if (delayMs > 0) {
      time.after(delayMs, () => void add(job));
      return;
    }
    waiting.set(job.name, waiting.get(job.name) ?? job);
    pump();
  }

  return {
    wakeRun: (id, ms) => add({ name: id, isQuick: true, step: ({ run }) => run(id) }, ms),
    wakeMachine: (id, ms) => add({ name: id, isQuick: false, step: ({ machine }) => machine(id) }, ms),
    wakeLaunch: (id, ms) => add({ name: id, isQuick: false, step: ({ launch }) => launch(id) }, ms),
    wakeDelivery: (id) => add({ name: id, isQuick: true, step: ({ delivery }) => delivery(id) }),
    async start(given) {
      steps = given;
      const beat = (): void => {
        if (!life.isOver()) {
          void add({ name: "reconcile", isQuick: false, step: ({ reconcile }) => reconcile() });
          time.after(RECONCILE_MS, beat);
        }
      };
      beat();
    },
    close: async () => waiting.clear(),
  };
}
