import type { Instant, KnownMachine, LaunchId } from "@mayfly/core";
import type { Trace } from "./absence.ts";
import type { SeenInstance } from "./describe.ts";
import type { Reading } from "./shared-reading.ts";

/** What nobody asks for and EC2 does not list is forgotten after this long. */
const FORGET_MS = 60 * 60_000;

/** Limit: how EC2's ids of volumes and network interfaces begin. */
const VOLUME_ID = /^vol-[0-9a-f]{1,32}$/;
const INTERFACE_ID = /^eni-[0-9a-f]{1,32}$/;

/**
 * What each instance had while it lived, since EC2 no longer says that of one that has ended. In memory: after a restart
 * what stands in the machine's record is learned from that.
 */
export interface Traces {
  note(reading: Reading<readonly SeenInstance[]>): void;
  /** What was written down of it, perhaps by a process before this one. Anything but ids of EC2 is passed over. */
  learn(id: string, known: KnownMachine, now: Instant): void;
  /** What is known of one that is to go. Counts from the first time it is asked for and not listed. */
  ask(id: string, isListed: boolean, now: Instant): Trace;
}

interface Known {
  launch: LaunchId | null;
  readonly volumes: Set<string>;
  readonly interfaces: Set<string>;
  unlistedSince: Instant | null;
  isWhole: boolean;
  touchedAt: Instant;
}

export function createTraces(): Traces {
  const all = new Map<string, Known>();

  function ensure(id: string, now: Instant): Known {
    const known = all.get(id) ?? {
      launch: null,
      volumes: new Set(),
      interfaces: new Set(),
      unlistedSince: null,
      isWhole: false,
      touchedAt: now,
    };
    known.touchedAt = now;
    all.set(id, known);
    return known;
  }

  return {
    note({ begunAt, value }) {
      for (const { id, launch, state, volumes, interfaces } of value) {
        const known = ensure(id, begunAt);
        known.launch = launch ?? known.launch;
        volumes.forEach((volume) => known.volumes.add(volume));
        interfaces.forEach((card) => known.interfaces.add(card));
        known.isWhole ||= state === "running" && volumes.length > 0 && interfaces.length > 0;
      }
      for (const [id, { touchedAt }] of all) {
        if (begunAt > touchedAt + FORGET_MS) {
          all.delete(id);
        }
      }
    },
    learn(id, { launch, parts }, now) {
      const known = ensure(id, now);
      known.launch ??= launch;
      parts.filter((part) => VOLUME_ID.test(part)).forEach((part) => known.volumes.add(part));
      parts.filter((part) => INTERFACE_ID.test(part)).forEach((part) => known.interfaces.add(part));
    },
    ask(id, isListed, now) {
      const known = ensure(id, now);
      known.unlistedSince = isListed ? null : (known.unlistedSince ?? now);
      return known;
    },
  };
}
