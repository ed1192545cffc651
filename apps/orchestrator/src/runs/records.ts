import {
  AppError,
  type Clock,
  decideLaunch,
  decideMachine,
  decideRun,
  type Launch,
  type LaunchEffect,
  type LaunchEvent,
  type LaunchId,
  type Machine,
  type MachineEffect,
  type MachineEvent,
  type MachineId,
  type Run,
  type RunEffect,
  type RunEvent,
  type RunId,
  type Store,
} from "@mayfly/core";

/** A record is contended by a handful of writers at most, so one that cannot be written this often is a bug. */
const TRIES_MAX = 50;

/** The only way a record changes: load, decide, commit; again if somebody was faster. */
export interface Records {
  /** The run after the event, with what must be brought about. Throws NOT_FOUND, STORE_CONFLICT. */
  applyToRun(id: RunId, event: RunEvent): Promise<{ run: Run; effects: readonly RunEffect[]; changed: boolean }>;
  applyToMachine(
    id: MachineId,
    event: MachineEvent,
  ): Promise<{ machine: Machine; effects: readonly MachineEffect[]; changed: boolean }>;
  applyToLaunch(
    id: LaunchId,
    event: LaunchEvent,
  ): Promise<{ launch: Launch; effects: readonly LaunchEffect[]; changed: boolean }>;
}

export function createRecords(deps: { store: Store; clock: Clock }): Records {
  const { store, clock } = deps;
  return {
    async applyToRun(id, event) {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const found = await store.loadRun(id);
        if (found === null) {
          throw new AppError("NOT_FOUND", `there is no run ${id}`);
        }
        const { run, effects } = decideRun(found.value, event, clock.now());
        if (run === found.value) {
          return { run, effects, changed: false };
        }
        if ((await store.commit([{ kind: "run", value: run, version: found.version }])) === "committed") {
          return { run, effects, changed: true };
        }
      }
      throw new AppError("STORE_CONFLICT", `run ${id} could not be written`);
    },
    async applyToMachine(id, event) {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const found = await store.loadMachine(id);
        if (found === null) {
          throw new AppError("NOT_FOUND", `there is no machine ${id}`);
        }
        const { machine, effects } = decideMachine(found.value, event, clock.now());
        if (machine === found.value) {
          return { machine, effects, changed: false };
        }
        if ((await store.commit([{ kind: "machine", value: machine, version: found.version }])) === "committed") {
          return { machine, effects, changed: true };
        }
      }
      throw new AppError("STORE_CONFLICT", `machine ${id} could not be written`);
    },
    async applyToLaunch(id, event) {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const found = await store.loadLaunch(id);
        if (found === null) {
          throw new AppError("NOT_FOUND", `there is no launch ${id}`);
        }
        const { launch, effects } = decideLaunch(found.value, event, clock.now());
        if (launch === found.value) {
          return { launch, effects, changed: false };
        }
        if ((await store.commit([{ kind: "launch", value: launch, version: found.version }])) === "committed") {
          return { launch, effects, changed: true };
        }
      }
      throw new AppError("STORE_CONFLICT", `launch ${id} could not be written`);
    },
  };
}
