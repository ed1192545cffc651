import type { Instant, MachineId } from "@mayfly/core";
import type { Capacity } from "./capacity.ts";
import type { SeenInstance } from "./describe.ts";
import { machineIdOf } from "./machine-id.ts";

/** Longer than EC2 lists an ended instance. */
const REMEMBERED_MS = 2 * 60 * 60_000;

/** Which machines EC2 has taken back, or has announced that it will. */
export interface Interruptions {
  noteReading(seen: readonly SeenInstance[], now: Instant): void;
  /** EC2 has announced it, and the listing shows that the instance is ours and spot. */
  noteWarning(instanceId: string, now: Instant): void;
  has(machine: MachineId): boolean;
}

export function createInterruptions(capacity: Capacity): Interruptions {
  const known = new Map<MachineId, Instant>();
  let alive = new Set<string>();

  function note(instanceId: string, at: Instant, now: Instant): void {
    const machine = machineIdOf(instanceId);
    if (machine !== null && !known.has(machine)) {
      known.set(machine, now);
    }
    capacity.noteInterruption(instanceId, at, now);
  }

  return {
    noteReading(seen, now) {
      for (const { id, interrupted, launchedAt } of seen) {
        if (interrupted) {
          // EC2 does not say when it was. One that nobody saw alive may have ended long before this process began: it
          // was after its launch, and more is not known.
          note(id, alive.has(id) ? now : (launchedAt ?? 0), now);
        }
      }
      alive = new Set(seen.filter(({ state }) => state === "pending" || state === "running").map(({ id }) => id));
      for (const [machine, at] of known) {
        if (at < now - REMEMBERED_MS) {
          known.delete(machine);
        }
      }
    },
    noteWarning: (instanceId, now) => note(instanceId, now, now),
    has: (machine) => known.has(machine),
  };
}
