import type { LaunchId, MachineId } from "./ids.ts";
import type { Launch, LaunchEvent } from "./launch.ts";
import { type MachineEvent, recordMachine } from "./machine.ts";
import type { RunEvent } from "./run.ts";
import { claimOf, isAllGone, NOW, type Rules, type Slot, type World, wrongChange } from "./state-world.fixture.ts";

const phases = ["booting", "ready", "claimed", "destroying", "gone"];

/** Applies an event to the run, and looks at what came of it. */
export function tellRun(world: World, event: RunEvent, rules: Rules): World {
  const { run, effects } = rules.decideRun(world.run, event, NOW);
  const early =
    effects.some(({ type }) => type === "publish") && !isAllGone(run, world)
      ? "a result was to be published early"
      : null;
  const broken = early ?? wrongChange(world.run, run);
  if (run === world.run && broken === null) {
    return world;
  }
  const hasEnded = world.run.phase === "running" && run.phase !== "running";
  const dead = hasEnded && !world.dead.includes(world.run.epoch) ? [...world.dead, world.run.epoch] : world.dead;
  return { ...world, run, dead, broken: world.broken ?? broken };
}

export function tellMachine(world: World, id: MachineId, event: MachineEvent, rules: Rules): World {
  const slot = world.slots.find((one) => one.id === id);
  if (slot === undefined || slot.record === null) {
    return world;
  }
  const { machine } = rules.decideMachine(slot.record, event, NOW);
  return machine === slot.record ? world : replace(world, id, { ...slot, record: machine });
}

export function presence(world: World, id: MachineId, present: Slot["present"]): World {
  const slot = world.slots.find((one) => one.id === id);
  if (slot === undefined || slot.present === present) {
    return world;
  }
  const risen = slot.present === "gone" ? "a machine rose again" : null;
  const to = replace(world, id, { ...slot, present });
  return { ...to, broken: to.broken ?? risen };
}

/** Puts a changed machine in its place; a lease that ended on the way is remembered. */
export function replace(world: World, id: MachineId, slot: Slot): World {
  const before = world.slots.find((one) => one.id === id)?.record ?? null;
  const was = claimOf(before);
  const is = claimOf(slot.record);
  const moved =
    was !== null && (is === null || is.epoch !== was.epoch || is.run !== was.run)
      ? "a machine forgot or changed its attempt"
      : null;
  const revived =
    before !== null && phases.indexOf(slot.record?.phase ?? "") < phases.indexOf(before.phase)
      ? "a machine went back in its life"
      : null;
  const ended = was !== null && slot.record?.phase !== "claimed" && !world.dead.includes(was.epoch);
  const early =
    slot.record?.phase === "gone" && slot.present === "there" ? "a machine was called gone that is there" : null;
  return {
    ...world,
    slots: world.slots.map((one) => (one.id === id ? slot : one)),
    dead: ended ? [...world.dead, was.epoch] : world.dead,
    broken: world.broken ?? moved ?? early ?? revived,
  };
}

export function launchIdOf(id: MachineId): LaunchId {
  return id.replace("mch_", "lch_") as LaunchId;
}

export function relaunch(world: World, id: MachineId, launch: Launch): World {
  return { ...world, slots: world.slots.map((slot) => (slot.id === id ? { ...slot, launch } : slot)) };
}

export function tellLaunch(world: World, id: MachineId, event: LaunchEvent, rules: Rules): World {
  const before = world.slots.find((slot) => slot.id === id)?.launch ?? null;
  if (before === null) {
    return world;
  }
  const { launch } = rules.decideLaunch(before, event, NOW);
  const changed = before.phase === "settled" && launch !== before ? "a settled launch changed" : null;
  const to = launch === before ? world : relaunch(world, id, launch);
  return { ...to, broken: to.broken ?? changed };
}

/** The record is written if it is absent: one that is there stays. */
export function recordIn(world: World, id: MachineId, launch: Launch): World {
  const slot = world.slots.find((one) => one.id === id);
  return slot === undefined || slot.record !== null
    ? world
    : replace(world, id, { ...slot, record: recordMachine({ id, launch, now: NOW }) });
}
