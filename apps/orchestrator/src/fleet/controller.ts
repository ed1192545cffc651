import {
  type Clock,
  type Ids,
  intendMachine,
  type Machine,
  type Provider,
  type Run,
  type Store,
  type Wakeups,
} from "@mayfly/core";
import type { Logger } from "pino";
import type { Records } from "../runs/records.ts";

/** After a failed launch the next waits this long, twice as long each time, up to the most. */
const BACKOFF_MS = 2_000;
const BACKOFF_MS_MAX = 60_000;

/** Much longer than the pause between two looks, much shorter than the silence that ends a machine. */
const ABSENCE_MS = 15_000;

export interface FleetDeps {
  readonly store: Store;
  readonly records: Records;
  readonly provider: Provider;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly machinesMax: number;
  /** Machines kept booted and waiting. */
  readonly warm: number;
  /** The longest run allowed, ms: machines live no longer than that needs. */
  readonly runMsMax: number;
  /**
   * After so many failed launches in a row, runs that wait end as failed; null to wait on. A person at the keyboard
   * would rather know; a service's runs wait until somebody has mended its host.
   */
  readonly launchFailuresMax: number | null;
}

/** Compares the machines there are with those wanted. */
export interface Fleet {
  /** Idempotent. Works from the provider's own listing and the records; does nothing on doubt. */
  reconcile(): Promise<void>;
  /** Told of each launch that failed. */
  noteFailedLaunch(fault: string): void;
}

/**
 * wanted = runs that wait + warm machines, present = provider.list(): the difference is launched or destroyed. What the
 * provider lists and no record covers is destroyed; what a record says and the provider does not list is lost.
 */
export function createFleet(deps: FleetDeps): Fleet {
  const { store, records, provider, wakeups, clock, log } = deps;
  let failures = 0;
  let lastFault = "";
  let failedAt = 0;
  let reconciledAt = 0;
  let launchesFrom = 0;

  function noteFailedLaunch(fault: string): void {
    failures += 1;
    lastFault = fault;
    failedAt = clock.now();
    launchesFrom = failedAt + Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (failures - 1));
  }

  /** A machine that came up after the last failure shows that the host can do it. */
  function noteReady(machines: Iterable<Machine>): void {
    for (const machine of machines) {
      if ((machine.phase === "ready" || machine.phase === "claimed") && machine.createdAt > failedAt) {
        failures = 0;
      }
    }
  }

  /** A service or a store that was away has heard nobody: what speaks again within the usual time is well. */
  async function adoptAfterAbsence(): Promise<void> {
    const now = clock.now();
    if (now > reconciledAt + ABSENCE_MS) {
      for (const { id } of await store.listLiveMachines()) {
        await records.applyToMachine(id, { type: "adopt" });
      }
    }
    reconciledAt = now;
  }

  async function reconcilePresent(): Promise<void> {
    // The provider first, then the records: a machine launched in between has its record already (I2).
    const present = await provider.list();
    const recorded = new Map((await store.listLiveMachines()).map((machine) => [machine.id, machine]));
    noteReady(recorded.values());
    for (const { id, running } of present) {
      const machine = recorded.get(id);
      if (machine === undefined) {
        log.warn({ machine: id }, "a machine without a record is destroyed");
        await provider
          .ensureDestroyed(id)
          .catch((err: unknown) => log.warn({ machine: id, err }, "it is not gone yet"));
      } else if (!running && isUp(machine)) {
        await lose(machine);
      }
    }
    const listed = new Set(present.map(({ id }) => id));
    for (const machine of recorded.values()) {
      if (!listed.has(machine.id) && isUp(machine)) {
        await lose(machine);
      }
    }
  }

  async function lose(machine: Machine): Promise<void> {
    const said = await provider.readConsole(machine.id);
    log.warn({ machine: machine.id, phase: machine.phase, said }, "a machine ended by itself");
    if (machine.phase === "booting") {
      noteFailedLaunch("the machine ended while it booted");
    }
    await records.applyToMachine(machine.id, { type: "vanished" });
  }

  async function reconcileWanted(machines: readonly Machine[], waiting: readonly Run[]): Promise<void> {
    const free = machines.filter(({ phase }) => phase === "intended" || phase === "booting" || phase === "ready");
    const wanted = waiting.length + deps.warm;
    const room = deps.machinesMax - machines.length;
    const now = clock.now();
    const launches = now < launchesFrom ? 0 : Math.max(0, Math.min(wanted - free.length, room));
    for (let i = 0; i < launches; i++) {
      await intend(now);
    }
    const idle = free.filter(({ phase }) => phase === "ready");
    for (const machine of idle.slice(0, Math.max(0, free.length - wanted))) {
      await records.applyToMachine(machine.id, { type: "destroy", why: "unwanted" });
    }
    if (deps.launchFailuresMax !== null && failures >= deps.launchFailuresMax) {
      await giveUp(waiting);
      return;
    }
    await explainWaits(waiting, { room, launches, free: free.length });
  }

  async function intend(now: number): Promise<void> {
    const { name, acceleration, image } = provider;
    const id = deps.ids.machine(now);
    const machine = intendMachine({ id, provider: name, acceleration, image, now, runMsMax: deps.runMsMax });
    await store.commit([{ kind: "machine", value: machine, version: 0 }]);
    await wakeups.wakeMachine(id);
  }

  async function giveUp(waiting: readonly Run[]): Promise<void> {
    const detail = `the last ${failures} launches failed: ${lastFault}`;
    for (const { id } of waiting) {
      await records.applyToRun(id, { type: "stopped", ending: { outcome: "failed", code: "no_machine", detail } });
    }
  }

  async function explainWaits(
    waiting: readonly Run[],
    seen: { room: number; launches: number; free: number },
  ): Promise<void> {
    const coming = seen.free + seen.launches;
    for (const [index, run] of waiting.entries()) {
      if (run.phase !== "queued" || run.source === null) {
        continue;
      }
      const reason = reasonToWait(index, coming, seen.room, failures);
      if (reason !== run.waitingFor) {
        await records.applyToRun(run.id, { type: "waiting", reason });
      }
    }
  }

  return {
    noteFailedLaunch,
    async reconcile() {
      await adoptAfterAbsence();
      await reconcilePresent();
      const runs = await store.listLiveRuns();
      const waiting = runs.filter(({ phase }) => phase === "queued");
      await reconcileWanted(await store.listLiveMachines(), waiting);
      for (const run of runs) {
        await wakeups.wakeRun(run.id);
      }
      for (const machine of await store.listLiveMachines()) {
        await wakeups.wakeMachine(machine.id);
      }
    },
  };
}

/** Up, as far as the record knows: its absence is then a loss. One only intended may be about to appear. */
function isUp({ phase }: Machine): boolean {
  return phase === "booting" || phase === "ready" || phase === "claimed";
}

function reasonToWait(index: number, coming: number, room: number, failures: number): string {
  if (index < coming) {
    return "a machine, which is booting";
  }
  const place = `number ${index - coming + 1} in line`;
  if (failures > 0) {
    return `a machine: ${place}; the last ${failures} launches failed`;
  }
  return room <= 0 ? `a machine: ${place}; all machines are at work` : `a machine: ${place}`;
}
