import { dayOf, type LaunchFailures, launchedIn, machineMsOf, perhapsMade, stillMissing } from "./fleet-history.ts";
import { lineUp } from "./fleet-line.ts";
import type { Digest, Instant, MachineId, RunId } from "./ids.ts";
import { type Launch, machineLifeMs } from "./launch.ts";
import { limits } from "./limits.ts";
import type { DestroyReason, Machine } from "./machine.ts";
import type { Run } from "./run.ts";
import { isSteady, needsSteady } from "./steady.ts";
import { scheduledWarm, type WarmPeriod } from "./warm-schedule.ts";

/** What the operator allows, and wants to be kept ready. */
export interface FleetSettings {
  readonly machinesMax: number;
  /** Machines of one GitHub installation at once; null for no limit. */
  readonly machinesPerInstallationMax: number | null;
  readonly launchesPerHourMax: number;
  /** Machines that are kept booted and waiting, whatever the demand. */
  readonly warm: number;
  /** As many more are kept as come while one boots, up to this; 0 keeps none for that. */
  readonly warmMax: number;
  readonly warmSchedule: readonly WarmPeriod[];
  /** What machines cost, and what they may cost in a day (UTC), US dollars; null for no limit. */
  readonly money: { readonly perHour: number; readonly perDayMax: number; readonly asOf: string } | null;
  /** The longest run allowed, ms: machines live no longer than that needs. */
  readonly runMsMax: number;
}

export interface FleetFacts {
  /** All live runs, oldest first. */
  readonly runs: readonly Run[];
  /** Every machine that is not gone. */
  readonly machines: readonly Machine[];
  /** Every launch that is not settled. */
  readonly launches: readonly Launch[];
  /** Machines without a record that are not gone yet; null when the provider's listing cannot be read. */
  readonly strangers: number | null;
  /** What machines launched now are made of. */
  readonly spec: Digest;
  /**
   * Every launch of the last hour, and every machine that may have lived today, gone or not; null when they cannot be
   * read. Whatever cannot be counted, nothing is launched.
   */
  readonly history: { readonly launches: readonly Launch[]; readonly machines: readonly Machine[] } | null;
  readonly failures: LaunchFailures;
  readonly arrivalsPerMinute: number;
  /** How long a machine takes from its launch to its first word, ms. */
  readonly bootMs: number;
  /** How long it may take at most, ms: its deadline follows from that. */
  readonly bootBoundMs: number;
}

/** Why nothing, or not all that is wanted, is launched now; in words that follow "a machine: number 2 in line; ". */
export type Shortage = string | null;

export interface FleetPlan {
  /** Machines to ask for now. */
  readonly launch: number;
  /** So many of them, the first, for runs that go on with a machine that is not taken back. */
  readonly launchSteady: number;
  /** Machines of any kind that are lacking beyond the steady ones, whether or not there is room for them. */
  readonly lackingRest: number;
  /** Machines that may be launched at most: what steady ones do not take, because they have to wait, others may. */
  readonly room: number;
  readonly drain: readonly { readonly id: MachineId; readonly why: DestroyReason }[];
  /** Waiting runs in the order in which they are given machines. */
  readonly next: readonly Run[];
  readonly held: readonly Run[];
  /** Machines that are free or coming for them, without those to be launched now. */
  readonly coming: number;
  /** Of those: such as are not taken back, and such as are asked for and have no record yet. */
  readonly comingSteady: number;
  readonly asked: number;
  readonly shortage: Shortage;
  /** Launches have failed so often that only one is tried now and then. */
  readonly stopped: boolean;
}

const HOUR_MS = 60 * 60 * 1000;
const MINUTE_MS = 60_000;
/** After a failed launch the next waits this long, twice as long each time, up to the most. */
const BACKOFF_MS = 2_000;
const BACKOFF_MS_MAX = 60_000;
/** So many failures in a row are no bad luck: the image, or the host, is broken, and somebody must look. */
const FAILURES_MAX = 5;
/** Then one launch is tried this often, to notice that somebody has. */
const PROBE_MS = 5 * 60_000;
const ALL_AT_WORK = "all machines are at work";
/** A warm machine is replaced so many times to boot before it ends: one for its successor, one for what comes between. */
const BOOTS_AHEAD = 2;

/**
 * wanted = runs that may have a machine + machines kept warm; present = what is free, booting or asked for. The difference
 * is launched as far as every cap allows, or drained. Pure.
 */
export function planFleet(facts: FleetFacts, settings: FleetSettings, now: Instant): FleetPlan {
  const { machines, launches, spec } = facts;
  const { next, held } = lineUp(facts.runs, settings.machinesPerInstallationMax);
  const free = machines.filter(({ phase }) => phase === "booting" || phase === "ready");
  const fresh = free.filter((machine) => machine.spec === spec);
  const open = launches.filter((launch) => launch.spec === spec);
  const missingOf = (some: readonly Launch[]) => some.reduce((sum, launch) => sum + stillMissing(launch, machines), 0);
  const asked = missingOf(open);
  const coming = fresh.length + asked;
  const comingSteady = fresh.filter(isSteady).length + missingOf(open.filter(isSteady));
  const wanted = next.length + warmTarget(facts, settings, now);
  const cap = tightest(capsOf(facts, settings, now));
  const [aged, lasting] = splitByAge(fresh, now + facts.bootMs * BOOTS_AHEAD);
  // A run takes what is about to end as well as anything; nobody else can wait with it.
  const waiting = coming - Math.max(0, aged.length - next.length);
  const needing = next.filter(needsSteady).length;
  // Beyond what the others and the warm target take, a machine that may be taken back is of no use to the rest.
  const unfit = Math.max(0, waiting - comingSteady - (wanted - needing));
  const usable = waiting - unfit;
  const lacking = Math.max(0, wanted - usable);
  const lackingSteady = Math.max(0, needing - comingSteady);
  const spare = unfit + Math.max(0, usable - wanted);
  // A warm machine gives way to one that a run needs, where there is room for one alone.
  const giving = cap.words === ALL_AT_WORK ? Math.max(0, Math.min(lackingSteady, lacking) - cap.room) : 0;
  const surplus = leastUseful(lasting, needing).slice(0, Math.max(spare, Math.min(giving, wanted - next.length)));
  const outdated = free.filter((machine) => machine.phase === "ready" && machine.spec !== spec);
  return {
    launch: Math.min(lacking, cap.room),
    launchSteady: Math.min(lackingSteady, lacking, cap.room),
    lackingRest: lacking - Math.min(lackingSteady, lacking),
    room: cap.room,
    drain: [
      ...surplus.map(({ id }) => ({ id, why: "unwanted" as const })),
      ...outdated.map(({ id }) => ({ id, why: "outdated" as const })),
    ],
    next,
    held,
    coming,
    comingSteady,
    asked,
    shortage: cap.room < lacking ? cap.words : null,
    stopped: facts.failures.inARow >= FAILURES_MAX,
  };
}

/**
 * Those that may be taken back before the others, of which as many are kept as runs need; then the newest first: what has
 * been well for longest is kept.
 */
function leastUseful(machines: readonly Machine[], needing: number): Machine[] {
  const newest = machines.toSorted((a, b) => b.createdAt - a.createdAt);
  const steady = newest.filter(isSteady);
  return [...newest.filter((machine) => !isSteady(machine)), ...steady.slice(0, Math.max(0, steady.length - needing))];
}

/** Machines that are ready: those whose time to wait is over by then, and the others. */
function splitByAge(machines: readonly Machine[], by: Instant): [aged: Machine[], lasting: Machine[]] {
  const ready = machines.flatMap((machine) => (machine.phase === "ready" ? [machine] : []));
  const isAged = ({ readyAt }: { readyAt: Instant }): boolean => by >= readyAt + limits.idleMachineMs;
  return [ready.filter(isAged), ready.filter((machine) => !isAged(machine))];
}

/** What became of a plan's launches of one kind. */
interface Launched {
  /** Machines asked for since the plan was made. */
  readonly launched: number;
  /** Why the others were not: the plan's reason, or what the provider has to wait for. */
  readonly shortage: Shortage;
}

/** What became of a plan, as far as runs are told of it. */
export interface PlanProgress {
  /** Of `launchSteady`. */
  readonly steady: Launched;
  /** Of all the others. */
  readonly rest: Launched;
  /** Why those that were asked for do not come yet; null where nothing is known to keep them. */
  readonly heldUp: string | null;
  /** What the provider lacked when it was asked last. */
  readonly lacking: string | null;
}

/** What each run that waits for a machine waits for, in words a person reads. */
export function waitingReasons(
  { next, held, coming, comingSteady, asked }: FleetPlan,
  settings: Pick<FleetSettings, "machinesPerInstallationMax">,
  progress: PlanProgress,
): { readonly run: RunId; readonly reason: string }[] {
  const needing = next.filter(needsSteady);
  const others = next.filter((run) => !needsSteady(run));
  const steady = comingSteady + progress.steady.launched;
  const launched = progress.steady.launched + progress.rest.launched;
  const rest = coming + launched - Math.min(steady, needing.length);
  const reasonAt = (index: number, there: number, kind: Pick<PlanProgress, "heldUp" | "lacking"> & Launched) =>
    reasonOf({ ...kind, place: index - there, isAsked: index >= there - asked - launched });
  const waits = [
    ...needing.map((run, index) => ({
      run,
      reason: `an on-demand machine${reasonAt(index, steady, { ...progress, ...progress.steady })}`,
    })),
    ...others.map((run, index) => ({
      run,
      reason: `a machine${reasonAt(index, rest, { ...progress, ...progress.rest })}`,
    })),
  ];
  const most = settings.machinesPerInstallationMax ?? 0;
  const reason = `a machine: this installation has the most it may have at once (${most})`;
  return [...waits, ...held.map((run) => ({ run, reason }))].flatMap(({ run, reason: words }) =>
    run.phase === "queued" && run.source !== null ? [{ run: run.id, reason: words }] : [],
  );
}

function reasonOf(wait: {
  place: number;
  isAsked: boolean;
  shortage: Shortage;
  heldUp: string | null;
  lacking: string | null;
}): string {
  const { place, isAsked, shortage, heldUp, lacking } = wait;
  if (place >= 0) {
    return [`: number ${place + 1} in line`, shortage, lacking].filter((words) => words !== null).join("; ");
  }
  if (isAsked && heldUp !== null) {
    return `, which is asked for; waiting for ${heldUp}`;
  }
  return isAsked && lacking !== null ? `, which is asked for again; ${lacking}` : ", which is booting";
}

/** The most of what is kept at least, what the time of the week asks for, and what comes while a machine boots. */
function warmTarget({ arrivalsPerMinute, bootMs }: FleetFacts, settings: FleetSettings, now: Instant): number {
  const demand = Math.ceil((arrivalsPerMinute * bootMs) / MINUTE_MS);
  return Math.max(settings.warm, scheduledWarm(settings.warmSchedule, now), Math.min(settings.warmMax, demand));
}

interface Cap {
  /** Machines that may still be launched. */
  readonly room: number;
  readonly words: string;
}

function capsOf(facts: FleetFacts, settings: FleetSettings, now: Instant): Cap[] {
  const { history, strangers, machines, launches, failures } = facts;
  if (history === null || strangers === null) {
    return [{ room: 0, words: "the machines cannot be counted" }];
  }
  const asked =
    launches.reduce((sum, launch) => sum + stillMissing(launch, machines), 0) +
    history.launches.reduce((sum, launch) => sum + perhapsMade(launch, machines, now), 0);
  const hourly = launchedIn(history.launches, now - HOUR_MS);
  return [
    { room: roomAfter(failures, now), words: failureWords(failures) },
    { room: settings.machinesMax - machines.length - asked - strangers, words: ALL_AT_WORK },
    {
      room: settings.launchesPerHourMax - hourly,
      words: `the most launches of an hour are reached (${settings.launchesPerHourMax})`,
    },
    ...moneyCap(facts, history, settings, now),
    // What cannot be added up, such as a record of which a part is missing, leaves no room.
  ].map(({ room, words }) => ({ room: Number.isNaN(room) ? 0 : Math.max(0, room), words }));
}

/** The first of those that leave least. */
function tightest(caps: readonly Cap[]): Cap {
  return caps.reduce((least, cap) => (cap.room < least.room ? cap : least));
}

/** None before the pause after the last failure is over; then one, to see, once it has failed too often. */
function roomAfter({ inARow, at }: LaunchFailures, now: Instant): number {
  if (inARow === 0) {
    return Infinity;
  }
  const isStopped = inARow >= FAILURES_MAX;
  const pause = isStopped ? PROBE_MS : Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (inARow - 1));
  if (now < at + pause) {
    return 0;
  }
  return isStopped ? 1 : Infinity;
}

function failureWords({ inARow }: LaunchFailures): string {
  const failed = inARow === 1 ? "the last launch failed" : `the last ${inARow} launches failed`;
  return inARow >= FAILURES_MAX ? `${failed}, so that one is tried every ${PROBE_MS / MINUTE_MS} minutes` : failed;
}

/**
 * A machine is paid for up to its deadline before it is launched, by each day its part; what it did not take is given back
 * once it is gone.
 */
function moneyCap(
  { launches, bootBoundMs }: FleetFacts,
  history: { machines: readonly Machine[] },
  { money, runMsMax }: FleetSettings,
  now: Instant,
): Cap[] {
  if (money === null || money.perHour === 0) {
    return [];
  }
  const { perDayMax, asOf } = money;
  const words = `the day's money for machines is spent or promised (${perDayMax} US dollars, by the price of ${asOf})`;
  const most = (perDayMax / money.perHour) * HOUR_MS;
  const midnight = dayOf(now).to;
  const life = machineLifeMs(runMsMax, bootBoundMs);
  const roomOn = (day: Instant, each: number): number => {
    const left = most - machineMsOf(launches, history.machines, day);
    return Math.floor(left / Math.ceil(each / MINUTE_MS) / MINUTE_MS);
  };
  const today = { room: roomOn(now, Math.min(life, midnight - now)), words };
  const afterwards = life - (midnight - now);
  return afterwards <= 0 ? [today] : [today, { room: roomOn(midnight, afterwards), words }];
}
