import { setTimeout as wait } from "node:timers/promises";
import { AppError } from "@mayfly/core";
import type { RedisAddress } from "./connection.ts";
import { startEmbeddedRedis } from "./embedded-redis.ts";

/** How soon an end is noticed: callers meet refusals meanwhile, and all of them try again for longer than this. */
const LOOK_MS = 250;
/** One that ends more often than this within the time has a reason that starting it again does not mend. */
const RESTARTS_MAX = 5;
const RESTARTS_WITHIN_MS = 60_000;

/** An embedded Redis that is there for as long as its service. */
export interface KeptRedis {
  readonly address: RedisAddress;
  /** True if it was running before: it had survived a crash of the service. */
  readonly adopted: boolean;
  /** Rejects with STORE_UNAVAILABLE or TOOLS_MISSING once it is away and cannot be brought back. Never resolves. */
  readonly failed: Promise<never>;
  /** Ends it once everything is on disk. */
  stop(): Promise<void>;
}

/**
 * Starts or adopts the embedded Redis in `folder`, and starts it again on the same append-only file when it ends by
 * itself. The caller holds the lock of the state folder. Throws STORE_UNAVAILABLE, TOOLS_MISSING.
 *
 * @param options.onRestarted Told of each time it was brought back.
 */
export async function keepEmbeddedRedis(folder: string, options: { onRestarted: () => void }): Promise<KeptRedis> {
  let redis = await startEmbeddedRedis(folder);
  const { address, adopted } = redis;
  const stopping = new AbortController();
  const failed = Promise.withResolvers<never>();
  // Whoever waits for it learns of it; nobody has to.
  failed.promise.catch(() => undefined);

  async function keep(): Promise<void> {
    let restarts: number[] = [];
    while (!stopping.signal.aborted) {
      if (!(await redis.isRunning())) {
        const now = performance.now();
        restarts = [...restarts.filter((at) => now - at < RESTARTS_WITHIN_MS), now];
        if (restarts.length > RESTARTS_MAX) {
          throw new AppError(
            "STORE_UNAVAILABLE",
            `the embedded Redis has ended ${restarts.length} times within a minute; see ${folder}/redis.log`,
          );
        }
        redis = await startEmbeddedRedis(folder);
        options.onRestarted();
      }
      await wait(LOOK_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
    }
  }

  const keeping = keep().catch(failed.reject);
  return {
    address,
    adopted,
    failed: failed.promise,
    async stop() {
      stopping.abort();
      await keeping;
      await redis.stop();
    },
  };
}
