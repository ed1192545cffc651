import type { Instant, LaunchId } from "@mayfly/core";
import type { Trace } from "./absence.ts";
import type { SeenInstance } from "./describe.ts";
import type { Reading } from "./shared-reading.ts";

/** What nobody asks for and EC2 does not list is forgotten after this long. */
const FORGET_MS = 60 * 60_000;

/**
 * What each instance had while it lived, since EC2 no longer says that of one that has ended. In memory: after a restart
 * the tags of its launch have to do.
 */
export interface Traces {
  note(reading: Reading<readonly SeenInstance[]>): void;
  /** What is known of one that is to go. Counts from the first time it is asked for and not listed. */
  ask(id: string, isListed: boolean, now: Instant): Trace;
}

interface Known {
  launch: LaunchId | null;
  readonly volumes: Set<string>;
  readonly interfaces: Set<string>;
  unlistedSince: Instant | null;
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
      touchedAt: now,
    };
    known.touchedAt = now;
    all.set(id, known);
    return known;
  }

  return {
    note({ begunAt, value }) {
      for (const { id, launch, volumes, interfaces } of value) {
        const known = ensure(id, begunAt);
        known.launch = launch ?? known.launch;
        volumes.forEach((volume) => known.volumes.add(volume));
        interfaces.forEach((card) => known.interfaces.add(card));
      }
      for (const [id, { touchedAt }] of all) {
        if (begunAt > touchedAt + FORGET_MS) {
          all.delete(id);
        }
      }
    },
    ask(id, isListed, now) {
      const known = ensure(id, now);
      known.unlistedSince = isListed ? null : (known.unlistedSince ?? now);
      return known;
    },
  };
}
