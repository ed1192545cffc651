import { comparePresent } from "./fleet-present.ts";
import type { MachineId, RunId } from "./ids.ts";
import { decideLaunch, type Launch } from "./launch.ts";
import { limits } from "./limits.ts";
import { decideMachine, isLeased, type Machine } from "./machine.ts";
import { decideRun, isAlive } from "./decide-run.ts";
import { requestRun, type Run } from "./run.ts";
import { hasOpenSetupConnection } from "./setup-connection.ts";
import { isSteady, mayServe } from "./steady.ts";
import { defaultTask } from "./task-spec.ts";

/** What is searched: the real functions, or one of them bent on purpose. */
export interface Rules {
  readonly decideRun: typeof decideRun;
  readonly decideMachine: typeof decideMachine;
  readonly isAlive: typeof isAlive;
  readonly isLeased: typeof isLeased;
  readonly decideLaunch: typeof decideLaunch;
  readonly comparePresent: typeof comparePresent;
  readonly mayServe: typeof mayServe;
  /** Whether a launch is written down before the provider is asked. */
  readonly intendsFirst: boolean;
  /** Whether launches are cut short, come late and grow old, or all go well: what they add is many times as many worlds. */
  readonly launchesFail: boolean;
  /** Whether machines are taken back, all but the second: likewise. */
  readonly takesBack: boolean;
  /** Whether the task's set-up reaches a host: likewise. */
  readonly connects: boolean;
  readonly machinesMax: number;
}

export const realRules: Rules = {
  decideRun,
  decideMachine,
  isAlive,
  isLeased,
  decideLaunch,
  comparePresent,
  mayServe,
  intendsFirst: true,
  launchesFail: false,
  takesBack: false,
  connects: false,
  machinesMax: 3,
};

/**
 * Time stands still at one instant; a deadline passes by moving what it counts from into the distant past. So every
 * deadline passes in every order, more orders than a clock allows.
 */
export const NOW = 1_700_000_000_000;
export const LONG_AGO = NOW - 10 * 24 * 60 * 60 * 1000;

/** A launch of one machine, the machine as it is recorded, and as it is. */
export interface Slot {
  readonly id: MachineId;
  /** Null for one that was asked for without being written down. */
  readonly launch: Launch | null;
  readonly record: Machine | null;
  readonly present: "not yet" | "there" | "gone";
}

/** One run, its machines, and what was seen of them that no record says. */
export interface World {
  readonly run: Run;
  readonly slots: readonly Slot[];
  /** Epochs whose capability has died: by freeze, by the run's end or by the lease's. */
  readonly dead: readonly number[];
  /** Something the run produced has been put on GitHub. */
  readonly shown: boolean;
  /** What the last move broke, if anything. */
  readonly broken: string | null;
}

/** The one host that a set-up reaches. */
export const SETUP_HOST = "packages.example.com";

export function startOfWorld({ connects }: Pick<Rules, "connects">): World {
  const task = defaultTask("local", "example-model");
  const request = {
    origin: { kind: "local", user: "dev", path: "/tmp/example" },
    requestedAt: NOW,
    task: connects ? { ...task, setup: ["make"], network: [SETUP_HOST] } : task,
    taskDigest: null,
    prompt: "p",
  } as const;
  const run = requestRun({ id: "run_1" as RunId, request, now: NOW });
  return { run, slots: [], dead: [], shown: false, broken: null };
}

export function claimOf(machine: Machine | null): { run: RunId; epoch: number } | null {
  return machine !== null && "claim" in machine ? machine.claim : null;
}

export function wrongChange(before: Run, after: Run): string | null {
  if (after.epoch < before.epoch || after.epoch > before.epoch + 1 || after.epoch > limits.attemptsMax) {
    return "epochs do not grow one by one up to the most";
  }
  if (before === after) {
    return null;
  }
  if (
    before.phase === "done" &&
    (after.phase !== "done" ||
      JSON.stringify({ ...before, archived: true }) !== JSON.stringify({ ...after, archived: true }))
  ) {
    return "a run that was done changed";
  }
  if (before.phase === "running" && after.phase !== "running" && after.times.key_dead === undefined) {
    return "nobody wrote down when the key died";
  }
  return after.gone.length < before.gone.length ? "evidence was dropped" : null;
}

/** Every machine that ever served the run is gone in fact, on record, and with evidence in the run (I5). */
export function isAllGone(run: Run, world: World): boolean {
  return world.slots.every(({ id, record, present }) => {
    const served = claimOf(record);
    const proved = run.gone.some((one) => one.machine === id && one.epoch === served?.epoch);
    return served === null || (record?.phase === "gone" && present === "gone" && proved);
  });
}

/** What is wrong with a world as it stands, or null. */
export function faultOf(world: World, rules: Rules): string | null {
  if (world.broken !== null) {
    return world.broken;
  }
  const { run, slots, dead } = world;
  if (slots.some(({ launch, present }) => launch === null && present === "there")) {
    return "a machine is there that nobody has written down";
  }
  const served = slots.flatMap(({ record }) => claimOf(record)?.epoch ?? []);
  if (new Set(served).size !== served.length) {
    return "two machines serve one epoch";
  }
  const alive = slots.filter((slot) => mayCall(world, slot, rules));
  if (alive.length > 1) {
    return "two attempts are alive";
  }
  if (alive.some(({ record }) => dead.includes(claimOf(record)?.epoch ?? 0))) {
    return "a capability lives after freeze, end or lease";
  }
  const isRisked = slots.some(
    ({ record }) =>
      record !== null && !isSteady(record) && (claimOf(record)?.epoch ?? 0) > (run.takenBack?.epoch ?? Infinity),
  );
  if (isRisked) {
    return "a run whose machine was taken back went on with one that may be";
  }
  if (run.phase === "running" && run.attempt.gate !== null && hasOpenSetupConnection(run, NOW)) {
    return "a connection of the set-up is open where a key may be";
  }
  const isOver = run.phase === "publishing" || run.phase === "done" || world.shown;
  return isOver && !isAllGone(run, world) ? "the run went on without evidence of a machine" : null;
}

/** Whether the broker answers this machine's capability, as broker/authorise.ts decides it. */
function mayCall({ run }: World, { record }: Slot, rules: Rules): boolean {
  if (record === null) {
    return false;
  }
  const mine = claimOf(record);
  const attempt = "attempt" in run ? run.attempt : null;
  const stands = mine !== null && attempt !== null && attempt.machine === record.id && attempt.epoch === mine.epoch;
  return stands && rules.isAlive(run, record.id, NOW) && rules.isLeased(record, NOW);
}

export function isOverAndClean({ run, slots }: World): boolean {
  const isClean = slots.every(
    ({ launch, record, present }) =>
      launch?.phase === "settled" && (record === null || record.phase === "gone") && present !== "there",
  );
  return run.phase === "done" && run.archived && isClean;
}

/** Two worlds with one identity behave alike: machines are told apart by what they are to the run, not by name. */
export function identityOf({ run, slots, dead, shown, broken }: World): string {
  const attempt = "attempt" in run ? run.attempt : null;
  const machines = slots.map(({ launch, record, present }) => {
    const asked = launch === null ? "unwritten" : launch.phase === "intended" ? `${launch.createdAt}` : "settled";
    if (record === null) {
      return `${asked}${present}`;
    }
    const mine = claimOf(record);
    const aged =
      ("heardAt" in record && record.heardAt === LONG_AGO) ||
      ("readyAt" in record && record.readyAt === LONG_AGO) ||
      record.launchedAt === LONG_AGO ||
      record.deadline === LONG_AGO;
    const isOpen = record.phase !== "destroying" && record.phase !== "gone";
    const isTold = record.phase === "destroying" && mine !== null;
    const why = isTold && (record.why === "attempt_ended" || (record.why === "taken_back" && record.why));
    const proved = run.gone.filter((one) => one.machine === record.id).map(({ epoch }) => epoch);
    return `${isSteady(record) ? "" : "spot"}${asked}${record.phase}${present}${aged && isOpen}${why}${mine?.epoch}${attempt?.machine === record.id}${proved.join()}`;
  });
  return [
    run.phase,
    run.epoch,
    run.phase === "queued" ? `${run.source === null}${run.since}` : "",
    attempt === null
      ? ""
      : `${attempt.epoch}${attempt.gate !== null}${attempt.key !== null}${attempt.frozenAt}${attempt.deadline === LONG_AGO}`,
    "ending" in run ? run.ending.outcome + run.ending.code : "",
    "resultDigest" in run ? run.resultDigest : "",
    run.phase === "done" ? `${run.archived}${run.publication.kind}` : "",
    run.gone.length,
    run.takenBack?.epoch ?? "",
    (run.setupConnections ?? []).map(({ epoch, openedAt, end }) => `${epoch}${openedAt === NOW}${end === null}`).join(),
    machines.sort().join("|"),
    dead.toSorted((a, b) => a - b).join(),
    shown,
    broken,
  ].join(";");
}
