import {
  assertNever,
  type Channels,
  isAppError,
  limits,
  type Clock,
  type Machine,
  type MachineEffect,
  type MachineEvent,
  type MachineId,
  type Provider,
  type Wakeups,
} from "@mayfly/core";
import type { Logger } from "pino";
import type { Records } from "../runs/records.ts";
import { singleFlight } from "../runs/single-flight.ts";

/** A machine that resists is tried again this soon. */
const RETRY_MS = 1_000;
/** A machine that only another provider can end waits for the settings to be changed back. */
const FOREIGN_MS = 30_000;
/** Destroy, tell: a machine's chain of effects is short. */
const ROUNDS_MAX = 6;

/** Takes one machine as far as it can go now. */
export interface MachineSteps {
  /** Idempotent; act on present truth. At most one at a time for each machine in this process. */
  stepMachine(id: MachineId): Promise<void>;
}

export interface MachineStepsDeps {
  readonly records: Records;
  readonly provider: Provider;
  readonly channels: Channels;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createMachineSteps(deps: MachineStepsDeps): MachineSteps {
  return { stepMachine: singleFlight((id) => stepOnce(deps, id)) };
}

async function stepOnce(deps: MachineStepsDeps, id: MachineId): Promise<void> {
  let { machine, effects } = await deps.records.applyToMachine(id, { type: "tick" });
  for (let round = 0; round < ROUNDS_MAX && effects.length > 0; round++) {
    let event: MachineEvent | null = null;
    for (const effect of effects) {
      event = (await perform(deps, machine, effect)) ?? event;
    }
    if (event === null) {
      return;
    }
    ({ machine, effects } = await deps.records.applyToMachine(id, event));
  }
}

async function perform(deps: MachineStepsDeps, machine: Machine, effect: MachineEffect): Promise<MachineEvent | null> {
  const { id } = machine;
  switch (effect.type) {
    case "listen":
      await deps.channels.ensureOpen(id);
      return null;
    case "destroy":
      return destroy(deps, machine);
    case "tell_run_lost":
      await tellRun(deps, effect.claim.run, { type: "machine_lost", machine: id, why: effect.why });
      return null;
    case "tell_run_gone":
      await tellRun(deps, effect.claim.run, { type: "machine_gone", machine: id, evidence: effect.evidence });
      return null;
    default:
      return assertNever(effect);
  }
}

async function destroy(deps: MachineStepsDeps, machine: Machine): Promise<MachineEvent | null> {
  const { id, provider } = machine;
  if (provider !== deps.provider.name) {
    // What this provider does not see proves nothing about what another has made (I5).
    const fix = `set fleet.provider to ${provider} until it is gone`;
    deps.log.error({ machine: id, provider, fix }, "a machine of another provider cannot be destroyed");
    await deps.wakeups.wakeMachine(id, FOREIGN_MS);
    return null;
  }
  try {
    await deps.channels.ensureClosed(machine.id).catch(unlessAbsent);
    return { type: "absent", evidence: await deps.provider.ensureDestroyed(machine.id) };
  } catch (error) {
    // Tried for ever: a machine that may still be there is never forgotten, and nothing is published meanwhile (I5).
    const overdue = machine.phase === "destroying" && deps.clock.now() > machine.since + limits.destroyMs;
    deps.log[overdue ? "error" : "warn"]({ machine: machine.id, err: error }, "a machine is not gone yet");
    await deps.wakeups.wakeMachine(machine.id, RETRY_MS);
    return null;
  }
}

/** A broker that is not there serves no channel; a machine does not wait for it to be destroyed. */
function unlessAbsent(error: unknown): void {
  if (!isAppError(error, "SERVICE_NOT_RUNNING")) {
    throw error;
  }
}

async function tellRun(
  deps: MachineStepsDeps,
  run: Parameters<Records["applyToRun"]>[0],
  event: Parameters<Records["applyToRun"]>[1],
): Promise<void> {
  try {
    await deps.records.applyToRun(run, event);
    await deps.wakeups.wakeRun(run);
  } catch (error) {
    if (!isAppError(error, "NOT_FOUND")) {
      throw error;
    }
  }
}
