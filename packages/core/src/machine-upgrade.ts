import type { LaunchId } from "./ids.ts";
import type { Machine } from "./machine.ts";

/**
 * A machine's record as an earlier version wrote it: without what was added since, and perhaps in the phase `intended`,
 * from before a launch had a record of its own.
 */
export type FormerMachine = Omit<Machine, "phase" | Added> & {
  readonly phase: Machine["phase"] | "intended";
  readonly [name: string]: unknown;
} & Partial<Pick<Machine, Added>>;

type Added = "launch" | "launchedAt" | "spec" | "enrolled";

/**
 * The record in its present form; one that has it already is returned as it is. A machine that was only intended is to
 * be destroyed: whether it was ever made, its provider knows.
 */
export function upgradeMachine(record: Machine | FormerMachine): Machine {
  if (record.launch !== undefined && record.phase !== "intended") {
    return record as Machine;
  }
  const { id, createdAt, image } = record;
  const added = {
    launch: `lch_${id.slice("mch_".length)}` as LaunchId,
    launchedAt: createdAt,
    spec: image,
    enrolled: null,
    // Of a claimed one it was not written down.
    ...(record.phase === "claimed" ? { readyAt: createdAt } : {}),
  };
  const upgraded = { ...added, ...record };
  return (
    record.phase === "intended"
      ? { ...upgraded, phase: "destroying", why: "launch_failed", since: createdAt, claim: null }
      : upgraded
  ) as Machine;
}
