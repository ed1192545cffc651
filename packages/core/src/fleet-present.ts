import type { Instant, MachineId } from "./ids.ts";
import type { Launch } from "./launch.ts";
import type { Machine } from "./machine.ts";
import type { PresentMachine } from "./ports.ts";

/**
 * When the fleet was last looked at, by whichever service of several did it. It is written before a look, with each
 * launch and after the look, on the version read: so no two looks plan launches from the same facts.
 */
export interface FleetRecord {
  readonly schema: 1;
  readonly id: "fleet";
  readonly createdAt: Instant;
  readonly lookedAt: Instant;
  /** Null while that look is at work, and for ever if its service died. */
  readonly endedAt: Instant | null;
}

/** What there is that no record covers, and what is recorded and not there. */
export interface Difference {
  /** To be destroyed. */
  readonly strangers: readonly MachineId[];
  readonly lost: readonly Machine[];
}

/**
 * Compares the provider's listing with the records. A machine that nobody has recorded is left alone while its launch is
 * open, for its record is about to be written; one that was just launched may not be listed yet.
 *
 * @param found The listing first, then the open launches, then the live machines, read in this order: so what was
 *   launched in between has its launch or its record here.
 * @param listedAt When the listing was asked for, or before: a machine that was launched since is not missed.
 */
export function comparePresent(
  found: { present: readonly PresentMachine[]; launches: readonly Launch[]; machines: readonly Machine[] },
  listedAt: Instant,
  listingLagMs: number,
): Difference {
  const recorded = new Set(found.machines.map(({ id }) => id));
  const open = new Set(found.launches.filter(({ phase }) => phase === "intended").map(({ id }) => id));
  const listed = new Map(found.present.map((one) => [one.id, one]));
  const isExpected = ({ launch }: PresentMachine): boolean => launch !== null && open.has(launch);
  const isAbsent = (machine: Machine): boolean => {
    const present = listed.get(machine.id);
    return present === undefined ? listedAt > lastSignOf(machine, listingLagMs) + listingLagMs : !present.running;
  };
  return {
    strangers: found.present.filter((one) => !recorded.has(one.id) && !isExpected(one)).map(({ id }) => id),
    lost: found.machines.filter((machine) => isUp(machine) && isAbsent(machine)),
  };
}

/** Where a listing may lag, one without a machine that has just spoken says more about the listing. */
function lastSignOf(machine: Machine, listingLagMs: number): Instant {
  const heardAt = "heardAt" in machine && listingLagMs > 0 ? machine.heardAt : 0;
  return Math.max(machine.launchedAt, heardAt);
}

/** Up, as far as the record knows: its absence is then a loss. */
function isUp({ phase }: Machine): boolean {
  return phase === "booting" || phase === "ready" || phase === "claimed";
}
