import type { EC2Client } from "@aws-sdk/client-ec2";
import type { Clock, Instant } from "@mayfly/core";
import type { Logger } from "pino";
import type { SeenThing } from "./describe.ts";
import { type Asked, deleteThings, terminateInstances } from "./remove.ts";

/** What was asked for and is still there is asked for again after this long. */
const AGAIN_MS = 30_000;
/** A thing attached to nothing for this long was left behind: nothing of ours is ever attached later. */
const LOOSE_MS = 60_000;

/** Asks EC2 to remove things, and remembers what it has asked for: a repetition soon after changes nothing. */
export interface Removals {
  /** @param ids What still lives, as far as is known; `listed` by EC2 or not. */
  terminate(ids: readonly string[], isListed: (id: string) => boolean): Promise<void>;
  /** Deletes of what is present, all that the fleet has, what has been attached to nothing for long. */
  removeLoose(present: readonly SeenThing[]): Promise<void>;
  /** Deletes of these what is attached to nothing, at once: they were machines' that have ended. */
  removeOwn(things: readonly SeenThing[]): Promise<void>;
}

export function createRemovals({ ec2, clock, log }: { ec2: EC2Client; clock: Clock; log: Logger }): Removals {
  const askedAt = new Map<string, Instant>();
  let looseSince = new Map<string, Instant>();

  const isDue = (id: string): boolean => clock.now() >= (askedAt.get(id) ?? Number.NEGATIVE_INFINITY) + AGAIN_MS;

  function note(asked: readonly Asked[]): void {
    const now = clock.now();
    for (const [id, at] of askedAt) {
      if (now > at + AGAIN_MS) {
        askedAt.delete(id);
      }
    }
    for (const { id, refusal } of asked) {
      askedAt.set(id, now);
      if (refusal !== null) {
        log.warn({ thing: id, refusal }, "EC2 does not remove it");
      }
    }
  }

  async function remove(things: readonly SeenThing[]): Promise<void> {
    const due = things.filter((thing) => thing.loose && isDue(thing.id));
    if (due.length > 0) {
      log.warn({ things: due.map(({ id }) => id) }, "deleting what a machine left behind");
      note(await deleteThings(ec2, due));
    }
  }

  return {
    async terminate(ids, isListed) {
      const due = ids.filter(isDue);
      if (due.length === 0) {
        return;
      }
      const listed = due.filter(isListed);
      note(await terminateInstances(ec2, { listed, unlisted: due.filter((id) => !isListed(id)) }));
    },
    async removeLoose(present) {
      const now = clock.now();
      const loose = present.filter((thing) => thing.loose);
      looseSince = new Map(loose.map(({ id }) => [id, looseSince.get(id) ?? now]));
      await remove(loose.filter(({ id }) => now >= (looseSince.get(id) ?? now) + LOOSE_MS));
    },
    removeOwn: remove,
  };
}
