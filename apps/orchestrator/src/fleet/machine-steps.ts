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
import { createSeldom } from "../runs/seldom.ts";
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

/** With whether something that lasts may be said in the log now. */
type StepDeps = MachineStepsDeps & { readonly maySay: (what: string) => boolean };

export function createMachineSteps(deps: MachineStepsDeps): MachineSteps {
  const maySay = createSeldom(deps.clock);
  return { stepMachine: singleFlight((id) => stepOnce({ ...deps, maySay }, id)) };
}

async function stepOnce(deps: StepDeps, id: MachineId): Promise<void> {
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

async function perform(deps: StepDeps, machine: Machine, effect: MachineEffect): Promise<MachineEvent | null> {
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

async function destroy(deps: StepDeps, machine: Machine): Promise<MachineEvent | null> {
  const { id, provider } = machine;
  if (provider !== deps.provider.name) {
    // What this provider does not see proves nothing about what another has made (I5).
    const fix = `set fleet.provider to ${provider} until it is gone`;
    if (deps.maySay(`foreign ${id}`)) {
      deps.log.error({ machine: id, provider, fix }, "a machine of another provider cannot be destroyed");
    }
    await deps.wakeups.wakeMachine(id, FOREIGN_MS);
    return null;
  }
  try {
    await deps.channels.ensureClosed(machine.id).catch(unlessAbsent);
    const { launch, parts = [] } = await withPartsNoted(deps, machine);
    return { type: "absent", evidence: await deps.provider.ensureDestroyed(machine.id, { launch, parts }) };
  } catch (error) {
    // Tried for ever: a machine that may still be there is never forgotten, and nothing is published meanwhile (I5).
    const overdue = machine.phase === "destroying" && deps.clock.now() > machine.since + limits.destroyMs;
    const level = overdue ? "error" : "warn";
    if (deps.maySay(`${level} ${id}`)) {
      deps.log[level]({ machine: id, err: error }, "a machine is not gone yet");
    }
    await deps.wakeups.wakeMachine(machine.id, RETRY_MS);
    return null;
  }
}

/** Written down before it ends: afterwards its provider may no longer say what it had, and this process be another. */
async function withPartsNoted({ provider, records, log }: MachineStepsDeps, machine: Machine): Promise<Machine> {
  // What was noted at first sight is there already: a listing that fails keeps no machine alive.
  const listed = await provider.list().catch((err: unknown) => {
    log.warn({ machine: machine.id, err }, "a machine is destroyed without another look at what it has");
    return [];
  });
  const present = listed.find(({ id }) => id === machine.id);
  const news = (present?.parts ?? []).filter((part) => machine.parts?.includes(part) !== true);
  return news.length === 0
    ? machine
    : (await records.applyToMachine(machine.id, { type: "seen", parts: news })).machine;
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
