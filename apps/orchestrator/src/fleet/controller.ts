import {
  bootMsOf,
  type Clock,
  comparePresent,
  decideMachine,
  decideRun,
  failuresOf,
  type FleetFacts,
  type FleetPlan,
  type FleetSettings,
  type Ids,
  intendLaunch,
  isAppError,
  lastShortfall,
  type Machine,
  type MachineEvent,
  type MachineId,
  PARTS_MAX,
  planFleet,
  type PlanProgress,
  type PresentMachine,
  type Provider,
  type Run,
  type Shortage,
  type Store,
  waitingReasons,
  type Wakeups,
} from "@mayfly/core";
import type { Logger } from "pino";
import type { Records } from "../runs/records.ts";
import { createSeldom } from "../runs/seldom.ts";
import { createFleetHistory } from "./history.ts";
import { createLooks, type Look } from "./looks.ts";

/** Much longer than the pause between two looks, much shorter than the silence that ends a machine. */
const ABSENCE_MS = 15_000;
/** Arrivals are counted over so long. */
const ARRIVALS_MS = 10 * 60_000;
const MINUTE_MS = 60_000;
/** A wake-up takes some forty commands of Redis, and a look is every second: what needs nothing is woken this often. */
const QUIET_MS = 10_000;
/** How long a machine takes to boot, as long as none was seen to. */
const BOOT_MS_ASSUMED = 60_000;

export interface FleetDeps {
  readonly store: Store;
  readonly records: Records;
  readonly provider: Provider;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly settings: FleetSettings;
  /**
   * After so many failed launches in a row, runs that wait end as failed; null to wait on. A person at the keyboard
   * would rather know; a service's runs wait until somebody has mended its host.
   */
  readonly launchFailuresMax: number | null;
}

/** Compares the machines there are with those wanted. */
export interface Fleet {
  /**
   * Idempotent. Works from the provider's own listing and the records; launches and destroys nothing on doubt. While one
   * is at work, in this process or another, a second only wakes what lives. Throws STORE_UNAVAILABLE.
   */
  reconcile(): Promise<void>;
}

/**
 * Destroys what the provider lists and no record covers, notes what a record says and the provider does not list, and
 * does what `planFleet` says. Of several services one looks at a time, whichever writes down first that it does.
 */
export function createFleet(deps: FleetDeps): Fleet {
  const { store, records, provider, wakeups, clock, log, settings } = deps;
  const history = createFleetHistory({
    store,
    runMsMax: settings.runMsMax,
    bootMs: provider.bootMs,
    isMoneyLimited: settings.money !== null,
  });
  const looks = createLooks({ store, clock });
  const maySay = createSeldom(clock);
  let quietWokenAt = Number.NEGATIVE_INFINITY;
  let isLooking = false;
  let hasAdopted = false;
  let bootMs = BOOT_MS_ASSUMED;
  let stopSaid = "";
  /** Machines without a record that this service is destroying now. */
  const leaving = new Set<MachineId>();

  /** A service or a store that was away has heard nobody: what speaks again within the usual time is well. */
  async function adoptAll(): Promise<void> {
    for (const { id } of await store.listLiveMachines()) {
      await applyToMachine(id, { type: "adopt" });
    }
    hasAdopted = true;
  }

  /** One record that cannot be changed holds up no other; a store that does not answer holds up all. */
  async function applyToMachine(id: MachineId, event: MachineEvent): Promise<void> {
    try {
      await records.applyToMachine(id, event);
    } catch (err) {
      if (isAppError(err, "STORE_UNAVAILABLE")) {
        throw err;
      }
      if (maySay(`record ${id}`)) {
        log.error({ machine: id, event: event.type, err }, "a machine's record could not be changed");
      }
    }
  }

  /** Returns how many machines without a record there are: each counts until the listing shows that it is gone. */
  async function reconcilePresent(): Promise<number> {
    const listedAt = clock.now();
    const present = await provider.list();
    const launches = await store.listLiveLaunches();
    const machines = await store.listLiveMachines();
    const { strangers, lost } = comparePresent({ present, launches, machines }, listedAt, provider.listingLagMs);
    await noteParts(present, machines);
    for (const machine of lost) {
      await lose(machine);
    }
    for (const id of strangers) {
      void destroyStranger(id);
    }
    return strangers.length;
  }

  /** As soon as they are seen: of one that ends by itself its provider may not say afterwards what it had. */
  async function noteParts(present: readonly PresentMachine[], machines: readonly Machine[]): Promise<void> {
    const known = new Map(machines.map(({ id, parts = [] }) => [id, new Set(parts)]));
    for (const { id, parts = [] } of present) {
      const noted = known.get(id);
      if (noted !== undefined && noted.size < PARTS_MAX && parts.some((part) => !noted.has(part))) {
        await applyToMachine(id, { type: "seen", parts });
      }
    }
  }

  /** Nobody waits for it: a machine that resists must not hold up the others. Never throws. */
  async function destroyStranger(id: MachineId): Promise<void> {
    if (leaving.has(id)) {
      return;
    }
    leaving.add(id);
    if (maySay(`stranger ${id}`)) {
      log.warn({ machine: id }, "a machine without a record is destroyed");
    }
    try {
      await provider.ensureDestroyed(id);
    } catch (err) {
      if (maySay(`not gone ${id}`)) {
        log.warn({ machine: id, err }, "it is not gone yet");
      }
    } finally {
      leaving.delete(id);
    }
  }

  async function lose(machine: Machine): Promise<void> {
    const lastWords = await provider.readConsole(machine.id).catch(() => "");
    log.warn({ machine: machine.id, phase: machine.phase, said: lastWords }, "a machine ended by itself");
    const isTakenBack = provider.isTakenBack?.(machine.id) === true;
    await applyToMachine(machine.id, isTakenBack ? { type: "destroy", why: "taken_back" } : { type: "vanished" });
  }

  async function gather(strangers: number | null, runs: readonly Run[], now: number): Promise<FleetFacts> {
    const launches = await store.listLiveLaunches();
    const machines = await store.listLiveMachines();
    const past = await unlessUnreadable(history.read({ launches, machines }, now));
    bootMs = bootMsOf(machines) ?? bootMs;
    const arrivals = settings.warmMax === 0 ? 0 : await store.countRunsSince(now - ARRIVALS_MS);
    return {
      runs,
      machines,
      launches,
      strangers,
      spec: provider.spec,
      history: past,
      failures: failuresOf(past?.launches ?? [], past?.machines ?? []),
      arrivalsPerMinute: (arrivals * MINUTE_MS) / ARRIVALS_MS,
      bootMs,
      bootBoundMs: provider.bootMs,
    };
  }

  function unlessUnreadable<T>(reading: Promise<T>): Promise<T | null> {
    return reading.catch((err: unknown) => {
      if (maySay("uncounted")) {
        log.warn({ err }, "nothing is launched: the machines cannot be counted");
      }
      return null;
    });
  }

  /** First what runs need that a machine was taken back from, in launches of its own; neither waits for the other. */
  async function launchAll(plan: FleetPlan, look: Look): Promise<Pick<PlanProgress, "steady" | "rest">> {
    const steady = await launchSome(plan.launchSteady, true, look);
    const rest = await launchSome(Math.min(plan.lackingRest, plan.room - steady.launched), false, look);
    return {
      steady: { ...steady, shortage: steady.shortage ?? plan.shortage },
      rest: { ...rest, shortage: rest.shortage ?? plan.shortage },
    };
  }

  async function launchSome(
    wanted: number,
    steady: boolean,
    look: Look,
  ): Promise<{ launched: number; shortage: Shortage }> {
    let launched = 0;
    while (launched < wanted) {
      const most = Math.min(wanted - launched, provider.launchCountMax);
      const planned = provider.planLaunch(most, steady);
      if ("wait" in planned) {
        return { launched, shortage: `waiting for ${planned.wait}` };
      }
      const count = Math.min(most, planned.count);
      if (count < 1) {
        break;
      }
      const now = clock.now();
      const { runMsMax } = settings;
      const launch = intendLaunch({ id: deps.ids.launch(now), provider, ...planned, count, now, runMsMax });
      if (!(await look.intend(launch))) {
        return { launched, shortage: "another service is looking" };
      }
      await wakeups.wakeLaunch(launch.id);
      launched += count;
    }
    return { launched, shortage: null };
  }

  async function reconcileWanted(facts: FleetFacts, look: Look): Promise<void> {
    const plan = planFleet(facts, settings, clock.now());
    const { inARow, fault } = facts.failures;
    for (const { id, why } of plan.drain) {
      await applyToMachine(id, { type: "destroy", why });
    }
    if (deps.launchFailuresMax !== null && inARow >= deps.launchFailuresMax) {
      await giveUp(facts.runs, `the last ${inARow} launches failed: ${fault}`);
      return;
    }
    const made = await launchAll(plan, look);
    const lacking = lastShortfall(facts.history?.launches ?? [], clock.now());
    const progress = { ...made, lacking, heldUp: provider.heldUp?.()?.wait ?? null };
    sayStopped(plan.stopped ? `the last ${inARow} launches failed: ${fault}` : "");
    const said = new Map(facts.runs.map((run) => [run.id, run.phase === "queued" ? run.waitingFor : null]));
    for (const { run, reason } of waitingReasons(plan, settings, progress)) {
      if (said.get(run) !== reason) {
        await records.applyToRun(run, { type: "waiting", reason });
      }
    }
  }

  /** Once, when it begins, and once when it is over. */
  function sayStopped(words: string): void {
    if (words !== "" && stopSaid === "") {
      log.error({ fault: words }, "launches are stopped but for one now and then: look at the image and the host");
    } else if (words === "" && stopSaid !== "") {
      log.info("launches go on");
    }
    stopSaid = words;
  }

  async function giveUp(runs: readonly Run[], detail: string): Promise<void> {
    for (const { id } of runs.filter(({ phase }) => phase === "queued")) {
      await records.applyToRun(id, { type: "stopped", ending: { outcome: "failed", code: "no_machine", detail } });
    }
  }

  async function lookAtAll(): Promise<void> {
    const look = await looks.begin();
    try {
      const now = clock.now();
      // What lives is adopted at once, though another service, or one that died at it, may be looking.
      if (!hasAdopted || (look !== null && now > look.previousAt + ABSENCE_MS)) {
        await adoptAll();
      }
      if (look === null) {
        return;
      }
      const strangers = await unlessUnreadable(reconcilePresent());
      const runs = await store.listLiveRuns();
      await reconcileWanted(await gather(strangers, runs, now), look);
    } finally {
      await look?.end();
    }
  }

  /** Whatever is due, at once; whatever is well, now and then, since a step of it may have been cut short. */
  async function wakeAll(): Promise<void> {
    const now = clock.now();
    const isRound = Math.abs(now - quietWokenAt) >= QUIET_MS;
    quietWokenAt = isRound ? now : quietWokenAt;
    const runs = (await store.listLiveRuns()).filter((run) => isRound || !isRunQuiet(run, now));
    await Promise.all(runs.map(({ id }) => wakeups.wakeRun(id)));
    const machines = (await store.listLiveMachines()).filter((machine) => isRound || !isMachineQuiet(machine, now));
    await Promise.all(machines.map(({ id }) => wakeups.wakeMachine(id)));
    await Promise.all((await store.listLiveLaunches()).map(({ id }) => wakeups.wakeLaunch(id)));
  }

  return {
    async reconcile() {
      if (!isLooking) {
        isLooking = true;
        try {
          await lookAtAll();
        } finally {
          isLooking = false;
        }
      }
      await wakeAll();
    },
  };
}

/** At work, with nothing due: whatever happens to it wakes it. */
function isRunQuiet(run: Run, now: number): boolean {
  return run.phase === "running" && decideRun(run, { type: "tick" }, now).run === run;
}

/** Alive, with nothing due but to be listened to, which its channel's process does by itself. */
function isMachineQuiet(machine: Machine, now: number): boolean {
  const { machine: next, effects } = decideMachine(machine, { type: "tick" }, now);
  return next === machine && effects.every(({ type }) => type === "listen");
}
