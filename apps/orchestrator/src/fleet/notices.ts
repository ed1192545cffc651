import { isAppError, type MachineEvent, type MachineId, type Store, type Wakeups } from "@mayfly/core";
import type { Logger } from "pino";
import type { Records } from "../runs/records.ts";

/** Somebody says that something has become of a machine. It is a hint: what is true, a look must tell. */
export interface MachineNotice {
  readonly machine: MachineId;
  /** What the provider's own listing says of it: an event for the machine's record, or null where all is well. */
  lookUp(): Promise<MachineEvent | null>;
}

/** Where notices come from. */
export interface Notices {
  /**
   * Calls back for each notice until it is closed, some of them twice. One for which the call fails comes again a little
   * later, a few times.
   */
  start(onNotice: (notice: MachineNotice) => Promise<void>): void;
  /** Resolves once no call is under way any more. */
  close(): Promise<void>;
}

/**
 * Looks at the machine that a notice is about, and lets its record know what has become of it: its attempt is then lost
 * at once, and its run goes on, before silence would have told. Nobody is asked about what has no record, or is not up.
 */
export function createNoticeHandler(deps: {
  store: Pick<Store, "loadMachine">;
  records: Pick<Records, "applyToMachine">;
  wakeups: Pick<Wakeups, "wakeMachine">;
  log: Pick<Logger, "warn">;
}): (notice: MachineNotice) => Promise<void> {
  const { store, records, wakeups, log } = deps;
  return async ({ machine, lookUp }) => {
    const phase = (await store.loadMachine(machine))?.value.phase;
    if (phase !== "booting" && phase !== "ready" && phase !== "claimed") {
      return;
    }
    const event = await lookUp();
    if (event === null) {
      return;
    }
    log.warn({ machine, event }, "a notice came true: the machine is lost");
    try {
      await records.applyToMachine(machine, event);
    } catch (error) {
      if (!isAppError(error, "NOT_FOUND")) {
        throw error;
      }
    }
    await wakeups.wakeMachine(machine);
  };
}
