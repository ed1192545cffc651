import { setTimeout as wait } from "node:timers/promises";
import { type Assignment, type Clock, limits, type MachineId, type Wakeups } from "@mayfly/core";
import { createTurns, type Dispatch } from "../runs/dispatch.ts";
import type { Records } from "../runs/records.ts";
import { Refusal } from "./refusal.ts";

/** How long a claim waits for an attempt before the agent asks again; the agent's own patience is longer. */
const CLAIM_MS = 10_000;
/** Between two looks: a run waits no longer than this for a machine that waits for it. */
const CLAIM_POLL_MS = 200;
/** Looks from one written sign of life to the next: as often as a machine at work gives one. */
const LOOKS_A_HEARTBEAT = limits.heartbeatMs / CLAIM_POLL_MS;

export interface ClaimsDeps {
  readonly dispatch: Dispatch;
  readonly records: Records;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  /** How long a claim waits, ms; absent for what an agent is used to. */
  readonly claimMs?: number;
}

/** The connection that a question came over. */
interface Connection {
  readonly destroyed: boolean;
}

/**
 * One machine's questions for its attempt. Each waits until there is one, for some seconds at most: then null. It ends,
 * within one look, when its connection does or when the machine asks anew. Throws CLAIMED_BEFORE, and has the machine
 * destroyed, when it was told its attempt already (I1). An attempt that was given out while nobody was there to hear of it
 * is the next question's, if that comes to this broker: only here it is known what was not heard, since the capability is
 * written down nowhere. At another broker a machine that has an attempt counts as told, is destroyed, and its run gets
 * another.
 */
export function createClaims(
  machine: MachineId,
  deps: ClaimsDeps,
): (connection: Connection) => Promise<Assignment | null> {
  const { dispatch, records, wakeups, clock, claimMs = CLAIM_MS } = deps;
  // The first words of a question come after the last look of the one before, whose find they then know of.
  const inTurn = createTurns();
  let questions = 0;
  let unheard: Assignment | null = null;

  /** Null if the machine has no attempt yet; what it has if it does not know so. */
  async function greet(): Promise<Assignment | null> {
    const { machine: greeted } = await records.applyToMachine(machine, { type: "hello" });
    if (greeted.phase === "ready") {
      return null;
    }
    if (greeted.phase === "claimed" && greeted.claim.run === unheard?.run && greeted.claim.epoch === unheard.epoch) {
      return unheard;
    }
    // It was given an attempt and asks again: the answer was lost, or somebody plays. Either way it is spent.
    await records.applyToMachine(machine, { type: "destroy", why: "claimed_twice" });
    await wakeups.wakeMachine(machine);
    throw new Refusal("CLAIMED_BEFORE");
  }

  async function look(looks: number, isHeard: () => boolean): Promise<Assignment | null> {
    if (!isHeard()) {
      return null;
    }
    let found: Assignment | null = null;
    if (looks === 0) {
      found = await greet();
    } else if (looks % LOOKS_A_HEARTBEAT === 0) {
      await records.applyToMachine(machine, { type: "heard" });
    }
    found ??= await dispatch.claim(machine);
    const isTold = isHeard();
    unheard = isTold ? null : found;
    return isTold ? found : null;
  }

  return async (connection) => {
    const question = (questions += 1);
    const isHeard = () => question === questions && !connection.destroyed;
    const until = clock.now() + claimMs;
    // Counted as well, since a clock may be set back.
    const looksMax = Math.ceil(claimMs / CLAIM_POLL_MS);
    for (let looks = 0; ; looks++) {
      const found = await inTurn(() => look(looks, isHeard));
      if (found !== null || !isHeard() || looks >= looksMax || clock.now() >= until) {
        return found;
      }
      await wait(CLAIM_POLL_MS, undefined, { ref: false });
    }
  };
}
