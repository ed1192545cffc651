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
  /** Answers whether anything was asked. @param ids What still lives, as far as is known; `listed` by EC2 or not. */
  terminate(ids: readonly string[], isListed: (id: string) => boolean): Promise<boolean>;
  /**
   * Deletes of what is present what is attached to nothing and was left behind.
   *
   * @param isOver Whether a thing was a machine's that has ended: such a thing need not wait.
   */
  removeLoose(present: readonly SeenThing[], isOver: (thing: SeenThing) => boolean): Promise<void>;
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

  return {
    async terminate(ids, isListed) {
      const due = ids.filter(isDue);
      if (due.length === 0) {
        return false;
      }
      const listed = due.filter(isListed);
      note(await terminateInstances(ec2, { listed, unlisted: due.filter((id) => !isListed(id)) }));
      return true;
    },
    async removeLoose(present, isOver) {
      const now = clock.now();
      const loose = present.filter((thing) => thing.loose);
      looseSince = new Map(loose.map(({ id }) => [id, looseSince.get(id) ?? now]));
      const isLeft = (thing: SeenThing): boolean =>
        isOver(thing) || now >= (looseSince.get(thing.id) ?? now) + LOOSE_MS;
      const due = loose.filter((thing) => isLeft(thing) && isDue(thing.id));
      if (due.length > 0) {
        log.warn({ things: due.map(({ id }) => id) }, "deleting what a machine left behind");
        note(await deleteThings(ec2, due));
      }
    },
  };
}
