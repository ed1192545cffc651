import type { EC2Client } from "@aws-sdk/client-ec2";
import { AppError, type Clock, type Evidence, type Instant, type KnownMachine, type MachineId } from "@mayfly/core";
import type { Logger } from "pino";
import { absenceChecks, hasEnded, isOwn, leftOf, type Trace } from "./absence.ts";
import { findLiving, findThings, type SeenInstance, type SeenThing } from "./describe.ts";
import type { Pause } from "./ec2-client.ts";
import { instanceIdOf } from "./machine-id.ts";
import { createRemovals, type Removals } from "./removals.ts";
import type { Reading, SharedReading } from "./shared-reading.ts";
import type { Traces } from "./traces.ts";

/** Machines that are to go at about the same time go in one call; a wait for the next listing gathers more. */
const GATHER_MS = 100;
/**
 * What ended machines had is looked at for all of them together: two calls in so long, or four where not all of it is
 * known, however many end. The first after a pause does not wait.
 */
const PARTS_MS = 20_000;

export interface DestroyDeps {
  readonly ec2: EC2Client;
  readonly clock: Clock;
  readonly pause: Pause;
  readonly log: Logger;
  readonly instances: SharedReading<readonly SeenInstance[]>;
  readonly things: SharedReading<readonly SeenThing[]>;
  readonly traces: Traces;
}

/** Ends machines and proves it: so many calls in one go, however many machines. */
export interface Destroyer {
  /** Idempotent. Throws MACHINE_NOT_GONE until everything of the machine was looked for and not found. */
  ensureDestroyed(id: MachineId, known?: KnownMachine): Promise<Evidence>;
  /** Deletes what is attached to nothing and was left behind. Throws PROVIDER_UNAVAILABLE. */
  tidy(): Promise<void>;
}

export function createDestroyer(deps: DestroyDeps): Destroyer {
  let wanted = new Map<string, PromiseWithResolvers<Evidence>>();
  let busy = false;
  const removals = createRemovals(deps);
  const isTimeForParts = createPace(deps.clock, PARTS_MS);

  async function work(): Promise<void> {
    busy = true;
    while (wanted.size > 0) {
      await deps.pause(GATHER_MS);
      const batch = wanted;
      wanted = new Map();
      await destroyBatch({ ...deps, removals, isTimeForParts }, batch);
    }
    busy = false;
  }

  return {
    async ensureDestroyed(id, known) {
      const instanceId = instanceIdOf(id);
      if (instanceId === null) {
        return { at: deps.clock.now(), checks: [{ what: `an instance that could be machine ${id}`, absent: true }] };
      }
      if (known !== undefined) {
        deps.traces.learn(instanceId, known, deps.clock.now());
      }
      const promised = wanted.get(instanceId) ?? Promise.withResolvers<Evidence>();
      wanted.set(instanceId, promised);
      if (!busy) {
        void work();
      }
      return promised.promise;
    },
    tidy: async () => removals.removeLoose((await deps.things.recent()).value),
  };
}

type Checks = Evidence["checks"];
type Batch = ReadonlyMap<string, PromiseWithResolvers<Evidence>>;

type BatchDeps = DestroyDeps & { readonly removals: Removals; readonly isTimeForParts: () => boolean };

/** Says yes at most once in so long. */
function createPace(clock: Clock, everyMs: number): () => boolean {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const now = clock.now();
    // A clock that was set back holds up nothing.
    if (Math.abs(now - last) < everyMs) {
      return false;
    }
    last = now;
    return true;
  };
}

async function destroyBatch(deps: BatchDeps, batch: Batch): Promise<void> {
  try {
    const found = await look(deps, [...batch.keys()]);
    for (const [id, promised] of batch) {
      answer(promised, found.get(id) ?? [], deps.clock.now());
    }
  } catch (cause) {
    for (const [id, promised] of batch) {
      promised.reject(new AppError("MACHINE_NOT_GONE", `whether ${id} is gone cannot be seen`, { cause }));
    }
  }
}

async function look(deps: BatchDeps, ids: readonly string[]): Promise<Map<string, Checks>> {
  const { clock, things, traces, removals } = deps;
  const { begunAt, value } = await terminate(deps, ids);
  const now = clock.now();
  const seen = new Map(value.map((instance) => [instance.id, instance]));
  const known = new Map(ids.map((id): [string, Trace] => [id, traces.ask(id, seen.has(id), now)]));
  const over = [...known].filter(([id, trace]) => hasEnded({ seen: seen.get(id), trace, now }));
  if (over.length === 0 || !deps.isTimeForParts()) {
    return checksOf(known, { ended: new Map(over), lives: () => null, things: null });
  }
  // The listing goes by the fleet's tag: a machine without it is not listed and may well live.
  const unlisted = new Set(over.map(([id]) => id).filter((id) => !seen.has(id)));
  const living = await findLiving(deps, [...unlisted]);
  const ended = new Map(over.filter(([id]) => !living.has(id)));
  const lives = (id: string): boolean | null => (unlisted.has(id) ? living.has(id) : null);
  if (ended.size === 0) {
    return checksOf(known, { ended, lives, things: null });
  }
  // Read after the listing that shows their end: what a dying machine still has is no leak.
  const isAllKnown = [...ended.values()].every(({ isWhole }) => isWhole);
  const tagged = isAllKnown ? [] : (await things.after(begunAt)).value;
  const present = await thingsOf(deps, tagged, ended);
  if (!isAllKnown) {
    await removals.removeLoose(tagged);
  }
  await removals.removeOwn(present.filter((thing) => [...ended].some(([id, trace]) => isOwn(id, trace, thing))));
  return checksOf(known, { ended, lives, things: present });
}

function checksOf(
  known: ReadonlyMap<string, Trace>,
  seen: {
    ended: ReadonlyMap<string, Trace>;
    lives: (id: string) => boolean | null;
    things: readonly SeenThing[] | null;
  },
): Map<string, Checks> {
  return new Map(
    [...known].map(([instanceId, trace]) => {
      const ended = seen.ended.has(instanceId);
      const things = ended ? seen.things : null;
      return [instanceId, absenceChecks({ instanceId, ended, lives: seen.lives(instanceId), trace, things })];
    }),
  );
}

/** What the fleet has, as far as that was read, and what these had and is there, with the fleet's tag or without. */
async function thingsOf(
  deps: DestroyDeps,
  tagged: readonly SeenThing[],
  ended: ReadonlyMap<string, Trace>,
): Promise<readonly SeenThing[]> {
  // Of what has left something anyhow nobody needs to know the rest yet.
  const clean = [...ended].filter(([id, trace]) => leftOf(id, trace, tagged).length === 0).map(([, trace]) => trace);
  const unseen = (ids: (trace: Trace) => ReadonlySet<string>) => clean.flatMap((trace) => [...ids(trace)]);
  const untagged = await findThings(deps, {
    volumes: unseen(({ volumes }) => volumes),
    interfaces: unseen(({ interfaces }) => interfaces),
  });
  return [...tagged, ...untagged];
}

/**
 * Asks for the end of what still lives, by a listing that began after these were to go, which it answers: what powers
 * itself off at the end of its attempt, as most do, needs no call. What was asked for shows in the listing after it.
 */
async function terminate(
  { clock, instances, removals }: BatchDeps,
  ids: readonly string[],
): Promise<Reading<readonly SeenInstance[]>> {
  const reading = await instances.after(clock.now());
  const seen = new Map(reading.value.map((instance) => [instance.id, instance]));
  const alive = ids.filter((id) => !isEnding(seen.get(id)));
  await removals.terminate(alive, (id) => seen.has(id));
  return reading;
}

function isEnding(seen: SeenInstance | undefined): boolean {
  return seen?.state === "shutting-down" || seen?.state === "terminated";
}

function answer(promised: PromiseWithResolvers<Evidence>, checks: Checks, at: Instant): void {
  const left = checks.filter(({ absent }) => !absent).map(({ what }) => what);
  if (checks.length > 0 && left.length === 0) {
    promised.resolve({ at, checks });
  } else {
    promised.reject(new AppError("MACHINE_NOT_GONE", `still there: ${left.join(", ")}`));
  }
}
