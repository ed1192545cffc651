import { cpus } from "node:os";
import { z } from "zod";

/** What a process of the bench has taken and holds, as it says itself. */
export const Effort = z.strictObject({
  /** Milliseconds on any core since it began. */
  cpuMs: z.number(),
  /** MiB. */
  resident: z.number(),
  held: z.number(),
});
export type Effort = z.infer<typeof Effort>;

const MIB = 1024 * 1024;

export function ownEffort(): Effort {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return { cpuMs: (user + system) / 1000, resident: rss / MIB, held: heapUsed / MIB };
}

/** Milliseconds of all cores of this host since it began: those with work, and all. */
export function hostEffort(): { readonly busyMs: number; readonly allMs: number } {
  const times = cpus().map((core) => core.times);
  const allMs = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
  return { allMs, busyMs: allMs - times.reduce((sum, { idle }) => sum + idle, 0) };
}

/** Answers whoever started this process and asks. */
export function tellEffort(): void {
  process.on("message", () => {
    // Node is started so that it can be told to: what is left is held, and not merely not collected yet.
    globalThis.gc?.();
    process.send?.(ownEffort());
  });
}
