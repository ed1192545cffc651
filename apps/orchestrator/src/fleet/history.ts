import {
  dayOf,
  type Launch,
  type LaunchId,
  type Machine,
  machineLifeMs,
  type MachineId,
  type Store,
} from "@mayfly/core";

/** How far back launches count for the most of an hour. */
const HOUR_MS = 60 * 60 * 1000;
/** What is recorded may have been intended this much before: more than a launch may stay open. */
const RECENT_MS = 10 * 60 * 1000;
/** Records read at once: quick after a restart, and no burden for Redis. */
const GROUP = 100;

/** What was launched lately, out of the records: it survives any restart. */
export interface FleetHistory {
  /**
   * Every launch of the last hour and its machines; where money is limited, every machine that may have lived today.
   * Reads each finished record once, 100 at a time.
   * Throws STORE_UNAVAILABLE when they cannot all be read.
   */
  read(
    live: { readonly launches: readonly Launch[]; readonly machines: readonly Machine[] },
    now: number,
  ): Promise<{ launches: Launch[]; machines: Machine[] }>;
}

/** @param deps.isMoneyLimited False where nobody asks what a day has cost: then an hour of machines is enough. */
export function createFleetHistory(deps: {
  store: Store;
  runMsMax: number;
  bootMs?: number;
  isMoneyLimited?: boolean;
}): FleetHistory {
  const { store, runMsMax, bootMs, isMoneyLimited = true } = deps;
  const launches = createMemory<Launch, LaunchId>({
    list: store.listLaunchesSince,
    load: async (id) => (await store.loadLaunch(id))?.value ?? null,
    isFinished: ({ phase }) => phase === "settled",
  });
  const machines = createMemory<Machine, MachineId>({
    list: store.listMachinesSince,
    load: async (id) => {
      const machine = (await store.loadMachine(id))?.value ?? null;
      // What was looked for is not asked here, and a day's records would fill the memory with it.
      return machine?.phase === "gone" ? { ...machine, evidence: { at: machine.evidence.at, checks: [] } } : machine;
    },
    isFinished: ({ phase }) => phase === "gone",
  });
  return {
    async read(live, now) {
      const hour = now - HOUR_MS;
      const since = isMoneyLimited ? Math.min(dayOf(now).from, hour) - machineLifeMs(runMsMax, bootMs) : hour;
      return {
        launches: await launches.read(live.launches, now, hour),
        machines: await machines.read(live.machines, now, since),
      };
    },
  };
}

interface Finite<Id> {
  readonly id: Id;
  readonly createdAt: number;
}

/** Records of one kind: the live ones as given, the finished ones, which never change, from memory. */
function createMemory<Value extends Finite<Id>, Id extends string>(kind: {
  list(since: number): Promise<Id[]>;
  load(id: Id): Promise<Value | null>;
  isFinished(value: Value): boolean;
}) {
  /** Null for one that was not finished when it was last looked at. */
  const known = new Map<Id, Value | null>();
  let listedAt: number | null = null;

  return {
    async read(live: readonly Value[], now: number, since: number): Promise<Value[]> {
      if (listedAt !== null && now < listedAt) {
        // The clock went back: what was forgotten as too old may count again.
        known.clear();
        listedAt = null;
      }
      const alive = new Set(live.map(({ id }) => id));
      const listed = await kind.list(listedAt === null ? since : Math.max(since, listedAt - RECENT_MS));
      for (const id of [...alive, ...listed]) {
        known.set(id, known.get(id) ?? null);
      }
      const found = [...live];
      const unread: Id[] = [];
      for (const [id, value] of known) {
        if (value !== null && value.createdAt < since) {
          known.delete(id);
        } else if (value !== null && !alive.has(id)) {
          found.push(value);
        } else if (!alive.has(id)) {
          unread.push(id);
        }
      }
      for (let first = 0; first < unread.length; first += GROUP) {
        const group = unread.slice(first, first + GROUP);
        for (const value of await Promise.all(group.map((id) => kind.load(id)))) {
          if (value !== null && value.createdAt < since) {
            known.delete(value.id);
          } else if (value !== null) {
            known.set(value.id, kind.isFinished(value) ? value : null);
            found.push(value);
          }
        }
      }
      listedAt = now;
      return found;
    },
  };
}
