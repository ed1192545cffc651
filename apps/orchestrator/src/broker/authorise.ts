import { timingSafeEqual } from "node:crypto";
import {
  type Attempt,
  type Clock,
  isAlive,
  isLeased,
  type Machine,
  type MachineId,
  type Run,
  type Store,
} from "@mayfly/core";
import { hashOf } from "../runs/dispatch.ts";
import { Refusal } from "./refusal.ts";

/** The attempt that a machine serves, whatever has become of it. */
export interface Standing {
  readonly machine: Machine & { phase: "claimed" | "destroying" | "gone" };
  readonly run: Run;
  readonly attempt: Attempt;
}

/** Says what a caller on a channel may do: the channel names the machine, the capability or key proves the attempt. */
export interface Authorise {
  /** The capability is this attempt's and alive. Throws CAPABILITY_INVALID, ENDED. */
  capability(machine: MachineId, header: string | undefined): Promise<Standing>;
  /** The capability is this attempt's, dead or alive: enough to be told to stop, or to deliver the result. */
  capabilityOnceGood(machine: MachineId, header: string | undefined): Promise<Standing>;
  /** Whether the machine's attempt may still call the model, whoever asks for it. */
  isEntitled(machine: MachineId): Promise<boolean>;
  /** The key is this attempt's and alive. Throws KEY_INVALID, ENDED. */
  key(machine: MachineId, header: string | undefined): Promise<Standing>;
}

export function createAuthorise(deps: { store: Store; clock: Clock }): Authorise {
  const { store, clock } = deps;

  async function standing(id: MachineId): Promise<Standing | null> {
    const machine = (await store.loadMachine(id))?.value;
    if (machine === undefined || !("claim" in machine) || machine.claim === null) {
      return null;
    }
    const run = (await store.loadRun(machine.claim.run))?.value;
    if (run === undefined || !("attempt" in run) || run.attempt === null) {
      return null;
    }
    return run.attempt.machine === id && run.attempt.epoch === machine.claim.epoch
      ? { machine, run, attempt: run.attempt }
      : null;
  }

  /** Both must say so: the run may not have been told yet that its machine was lost, nor the machine that its run ended. */
  function hasRight({ run, machine }: Standing): boolean {
    return isAlive(run, machine.id, clock.now()) && isLeased(machine, clock.now());
  }

  async function capabilityOnceGood(id: MachineId, header: string | undefined): Promise<Standing> {
    const found = await standing(id);
    if (found === null || !matches(header, found.attempt.capabilityHash)) {
      throw new Refusal("CAPABILITY_INVALID");
    }
    return found;
  }

  return {
    capabilityOnceGood,
    async isEntitled(id) {
      const found = await standing(id);
      return found !== null && hasRight(found);
    },
    async capability(id, header) {
      const found = await capabilityOnceGood(id, header);
      if (!hasRight(found)) {
        throw new Refusal("ENDED");
      }
      return found;
    },
    async key(id, header) {
      const found = await standing(id);
      if (found !== null && !hasRight(found)) {
        throw new Refusal("ENDED");
      }
      const keys = found === null ? [] : [found.attempt.key, found.attempt.keyBefore];
      const isGood = keys.some((key) => key !== null && clock.now() < key.expiresAt && matches(header, key.hash));
      if (found === null || !isGood) {
        throw new Refusal("KEY_INVALID");
      }
      return found;
    },
  };
}

/** Compares hashes of equal length in constant time; a bearer of any length costs the same. */
function matches(header: string | undefined, hash: string): boolean {
  const bearer = /^Bearer ([\x21-\x7e]{1,256})$/.exec(header ?? "")?.[1];
  return bearer !== undefined && timingSafeEqual(Buffer.from(hashOf(bearer), "hex"), Buffer.from(hash, "hex"));
}
