import type { Launch } from "./launch.ts";
import type { Machine } from "./machine.ts";
import type { Run } from "./run.ts";

/** True once a provider has taken a machine back from the run: it goes on with one that is not taken back. */
export function needsSteady({ takenBack }: Pick<Run, "takenBack">): boolean {
  return takenBack !== undefined;
}

/** True for machines, and launches of machines, that the provider does not take back while they are at work. */
export function isSteady({ interruptible }: Pick<Machine | Launch, "interruptible">): boolean {
  return interruptible !== true;
}

/** Whether a run may be given this machine. */
export function mayServe(machine: Pick<Machine, "interruptible">, run: Pick<Run, "takenBack">): boolean {
  return isSteady(machine) || !needsSteady(run);
}
