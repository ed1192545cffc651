import type { Clock } from "@mayfly/core";

/** The system's clock. */
export const systemClock: Clock = { now: () => Date.now() };
