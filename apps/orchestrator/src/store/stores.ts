import { type Clock, limits, type ResultStore, type Store } from "@mayfly/core";
import type { Redis } from "ioredis";
import { createModelSpend, type ModelSpend } from "./model-spend.ts";
import { createRecordStore } from "./records.ts";
import { createResultStore } from "./results.ts";

/** Every key of ours in Redis, so that one may be shared. */
export const REDIS_PREFIX = "mayfly:";

/** What service and broker share: the records of runs and machines, what attempts return, and what they spend. */
export interface Stores {
  readonly store: Store;
  readonly results: ResultStore;
  readonly spend: ModelSpend;
}

export function createStores(deps: { redis: Redis; clock: Clock }): Stores {
  const shared = { redis: deps.redis, prefix: REDIS_PREFIX };
  return {
    store: createRecordStore({ ...shared, keepFinishedMs: limits.finishedRunMs }),
    results: createResultStore({ ...shared, keepMs: limits.finishedRunMs }),
    spend: createModelSpend({ ...shared, clock: deps.clock, keepMs: limits.finishedRunMs }),
  };
}
