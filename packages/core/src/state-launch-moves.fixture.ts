import type { MachineId } from "./ids.ts";
import type { LaunchEvent } from "./launch.ts";
import { launchIdOf, presence, recordIn, relaunch, tellLaunch } from "./state-changes.fixture.ts";
import { LONG_AGO, NOW, type Rules, type Slot, type World } from "./state-world.fixture.ts";

/** What the launch's step and the fleet do, as fleet/launch-steps.ts and fleet/controller.ts have it. */
export function launchMoves(
  world: World,
  { id, launch, record, present }: Slot,
  rules: Rules,
  go: (name: string, fair: boolean, to: World) => void,
): void {
  if (launch === null) {
    return;
  }
  const settle = (event: LaunchEvent, from = world) => tellLaunch(from, id, event, rules);
  if (!rules.launchesFail) {
    if (launch.phase === "intended") {
      const made = recordIn(presence(world, id, "there"), id, launch);
      go(`${id}: launched`, true, settle({ type: "launched", machines: [id], missing: [] }, made));
    }
    return;
  }
  const ticked = settle({ type: "tick" });
  go(`${id}: its launch ticks, and then a crash`, true, ticked);
  const answered = rules.decideLaunch(launch, { type: "tick" }, NOW).effects.length > 0;
  if (answered && present !== "gone") {
    const made = presence(ticked, id, "there");
    const recorded = recordIn(made, id, launch);
    go(`${id}: made, answer lost`, false, made);
    go(`${id}: made and recorded, and then a crash`, false, recorded);
    go(`${id}: made, recorded and settled`, true, settle({ type: "launched", machines: [id], missing: [] }, recorded));
  }
  if (answered && present === "gone") {
    go(`${id}: ran and has ended`, true, settle({ type: "failed", reason: "" }));
  }
  go(`late: ${id}'s launch failed`, false, settle({ type: "failed", reason: "" }));
  if (present === "not yet") {
    go(`late: ${id} comes up`, false, presence(world, id, "there"));
  } else if (record === null) {
    go(`late: ${id} is recorded`, false, recordIn(world, id, launch));
  }
  if (launch.phase === "intended" && launch.createdAt === NOW) {
    go(`time: to launch ${id} is over`, true, relaunch(world, id, { ...launch, createdAt: LONG_AGO }));
  }
  go(`fleet: looks for strangers such as ${id}`, true, destroyStranger(world, id, rules));
}

/** What the fleet finds in the provider's listing and in no record is destroyed. */
function destroyStranger(world: World, id: MachineId, rules: Rules): World {
  const present = world.slots.flatMap((slot) =>
    slot.present === "there"
      ? [{ id: slot.id, launch: slot.launch?.id ?? null, running: true, address: null, spec: null }]
      : [],
  );
  const launches = world.slots.flatMap(({ launch }) => (launch?.phase === "intended" ? [launch] : []));
  const machines = world.slots.flatMap(({ record }) => (record === null || record.phase === "gone" ? [] : [record]));
  const { strangers } = rules.comparePresent({ present, launches, machines }, NOW, 0);
  if (!strangers.includes(id)) {
    return world;
  }
  const isOpen = launches.some((launch) => launch.id === launchIdOf(id));
  const isKnown = machines.some((machine) => machine.id === id);
  const to = presence(world, id, "gone");
  const broken = isOpen
    ? "what an open launch made was destroyed"
    : isKnown
      ? "a recorded machine was destroyed as a stranger"
      : null;
  return { ...to, broken: to.broken ?? broken };
}
