import { assertNever } from "./assert.ts";
import type { Ending } from "./ending.ts";
import type { Digest, MachineId } from "./ids.ts";
import { intendLaunch, type Launch } from "./launch.ts";
import { limits } from "./limits.ts";
import { type Evidence, type Machine, type MachineEvent } from "./machine.ts";
import type { RunEvent } from "./run.ts";
import { launchIdOf, presence, replace, tellMachine, tellRun } from "./state-changes.fixture.ts";
import { launchMoves } from "./state-launch-moves.fixture.ts";
import {
  claimOf,
  identityOf,
  LONG_AGO,
  NOW,
  type Rules,
  SETUP_HOST,
  type Slot,
  type World,
  wrongChange,
} from "./state-world.fixture.ts";

/** A move that leads on. `fair` ones happen sooner or later once faults have stopped, whatever agents and people do. */
export interface Move {
  readonly name: string;
  readonly fair: boolean;
  readonly to: World;
}

const SHA = "a".repeat(40);
const layout = { head: SHA, base: SHA, merge_base: SHA, shallow: [SHA], pack_bytes: 1, pack_sha256: "b".repeat(64) };
const proof: Evidence = { at: NOW, checks: [{ what: "process", absent: true }] };
const cancelled: Ending = { outcome: "cancelled", code: "label_removed", detail: "" };
const superseded: Ending = { outcome: "superseded", code: "pushed", detail: "" };
const machineIds = ["mch_1", "mch_2", "mch_3"] as MachineId[];

/** Every move of everybody from here. Moves that change nothing are left out; `onTry` counts them all. */
export function movesFrom(world: World, rules: Rules, onTry: () => void): Move[] {
  const moves: Move[] = [];
  const go = (name: string, fair: boolean, to: World) => {
    onTry();
    if (to !== world) {
      moves.push({ name, fair, to });
    }
  };
  const { run } = world;
  const tell = (event: RunEvent, from = world) => tellRun(from, event, rules);

  // The run's own step, as apps/orchestrator/src/runs/steps.ts takes it: a tick, then each effect, then its answer.
  // Each is also cut short after the tick and after the effect, as by a crash.
  const ticked = tell({ type: "tick" });
  go("run: tick, and then a crash", false, ticked);
  for (const effect of rules.decideRun(run, { type: "tick" }, NOW).effects) {
    switch (effect.type) {
      case "prepare_source":
        go("run: source prepared", true, tell({ type: "source_prepared", layout }, ticked));
        break;
      case "destroy_machine":
        go(
          "run: destroys",
          true,
          tellMachine(ticked, effect.machine, { type: "destroy", why: "attempt_ended" }, rules),
        );
        break;
      case "publish": {
        const put = { ...ticked, shown: true };
        go("run: published, answer lost", false, ticked.shown ? ticked : put);
        go("run: published", true, tell(published("comment"), put));
        go("run: may no longer be shown", false, tell({ type: "ending_changed", ending: superseded }, ticked));
        go("run: cannot be published", false, tell(published("none"), ticked));
        break;
      }
      case "archive":
        go("run: archived", true, tell({ type: "archived" }, ticked));
        break;
      case "show_progress":
        break;
    }
  }
  // People, pushes and operators, at any moment; answers of effects, late and twice.
  go("person: cancels", false, tell({ type: "end", ending: cancelled }));
  go("push: supersedes", false, tell({ type: "end", ending: superseded }));
  go("late: source prepared", false, tell({ type: "source_prepared", layout }));
  go(
    "late: stopped",
    false,
    tell({ type: "stopped", ending: { outcome: "failed", code: "source_failed", detail: "" } }),
  );
  go("late: archived", false, tell({ type: "archived" }));
  for (const [name, to] of agedRuns(world, rules)) {
    go(`time: ${name}`, true, to);
  }

  for (const slot of world.slots) {
    launchMoves(world, slot, rules, go);
    if (slot.record !== null) {
      machineMoves(world, { ...slot, record: slot.record }, rules, go);
    }
  }
  if (world.slots.length < rules.machinesMax && run.phase !== "done") {
    const id = machineIds[world.slots.length] as MachineId;
    const slot: Slot = rules.intendsFirst
      ? { id, launch: intend(id, rules.takesBack && id !== machineIds[1]), record: null, present: "not yet" }
      : { id, launch: null, record: null, present: "there" };
    go(`fleet: intends ${id}`, false, { ...world, slots: [...world.slots, slot] });
  }
  return moves;
}

/** What the machine's step, its agent and the fleet do, as fleet/machine-steps.ts and broker/attempt-routes.ts have it. */
function machineMoves(
  world: World,
  { id, record, present }: Slot & { record: Machine },
  rules: Rules,
  go: (name: string, fair: boolean, to: World) => void,
): void {
  const say = (event: MachineEvent, from = world) => tellMachine(from, id, event, rules);
  const ticked = say({ type: "tick" });
  const decided = rules.decideMachine(record, { type: "tick" }, NOW);
  go(`${id}: tick, and then a crash`, false, ticked);
  let there = ticked;
  for (const effect of decided.effects) {
    switch (effect.type) {
      case "listen":
        break;
      case "tell_run_lost":
        there = tellRun(there, { type: "machine_lost", machine: id, why: effect.why }, rules);
        go(`${id}: tells it is lost, and resists`, false, there);
        break;
      case "tell_run_gone":
        go(
          `${id}: tells it is gone`,
          true,
          tellRun(there, { type: "machine_gone", machine: id, evidence: effect.evidence }, rules),
        );
        break;
      case "destroy":
        go(`${id}: destroyed, answer lost`, false, presence(there, id, "gone"));
        go(`${id}: destroyed`, true, say({ type: "absent", evidence: proof }, presence(there, id, "gone")));
        go(
          `${id}: resists`,
          false,
          say({ type: "absent", evidence: { at: NOW, checks: [{ what: "process", absent: false }] } }, there),
        );
        break;
    }
  }
  go(`fleet: does not list ${id}`, false, say({ type: "vanished" }));
  if (record.interruptible === true) {
    go(`fleet: hears that ${id} is taken back`, false, say({ type: "destroy", why: "taken_back" }));
  }
  go(`fleet: does not want ${id}`, false, say({ type: "destroy", why: "unwanted" }));
  go(`fleet: has ${id} to spare`, false, say({ type: "destroy", why: "idle" }));
  if (present !== "not yet") {
    go(`${id}: hello`, false, say({ type: "hello" }));
    go(`${id}: asks for an attempt`, false, claim(world, id, rules));
    go(`${id}: heartbeat`, false, say({ type: "heard" }));
  }
  if (present === "gone") {
    go(`late: ${id} absent`, false, say({ type: "absent", evidence: proof }));
  }
  for (const [name, to] of agedMachines(world, id, rules)) {
    go(`time: ${id}'s ${name}`, true, to);
  }
  agentMoves(world, record, rules, go);
  if (rules.connects) {
    connectionMoves(world, record, rules, go);
  }
}

/** One connection of each attempt's set-up, as broker/setup-tunnels.ts writes it down. */
function connectionMoves(
  world: World,
  record: Machine,
  rules: Rules,
  go: (name: string, fair: boolean, to: World) => void,
): void {
  const { id: machine } = record;
  const id = `con_${claimOf(record)?.epoch ?? 1}`;
  const end = { sentBytes: 0, receivedBytes: 0, why: "closed" } as const;
  go(`${machine}: connects`, false, tellRun(world, { type: "setup_opened", id, host: SETUP_HOST, machine }, rules));
  // Not fair: the broker that carries it may die.
  go(`${machine}: disconnects`, false, tellRun(world, { type: "setup_closed", id, end, machine }, rules));
}

/** All that the agent of a machine may have said once its attempt was its own: at any later moment, twice, in any order. */
function agentMoves(
  world: World,
  { id, ...machine }: Machine,
  rules: Rules,
  go: (name: string, fair: boolean, to: World) => void,
): void {
  const mine = claimOf({ id, ...machine });
  const epoch = mine?.epoch ?? 1;
  const gate = { safety_strategy: "unprivileged-user", checks: [{ name: "sudo", ok: true, seen: "" }] } as const;
  const frames = [epoch, 3 - epoch].map((of) => failure(of));
  const said: RunEvent[] = [
    { type: "step", step: "codex_started", machine: id },
    { type: "gate_passed", report: { ...gate, checks: [...gate.checks] }, machine: id },
    { type: "key_lent", hash: "k", machine: id },
    { type: "frozen", machine: id },
    ...frames.map((frame): RunEvent => ({ type: "result", frame, digest: "sha256:d" as Digest, machine: id })),
  ];
  for (const event of said) {
    const before = world.run;
    const isOwn = event.type !== "result" || event.frame.epoch === epoch;
    const stood = isOwn && before.phase === "running" && before.attempt.machine === id;
    const to = tellRun(world, event, rules);
    // That a deadline is noticed on the way is no answer to what was said: a tick does as much.
    if (!stood && to !== world && identityOf(to) !== identityOf(tellRun(world, { type: "tick" }, rules))) {
      go(`${id}: ${event.type}`, false, { ...to, broken: "a machine changed an attempt that is not its own" });
      continue;
    }
    const isLate = before.phase === "running" && [before.attempt.frozenAt, before.attempt.deadline].includes(LONG_AGO);
    if (isLate && "resultDigest" in to.run && to.run.resultDigest !== null) {
      go(`${id}: ${event.type}`, false, { ...to, broken: "a result was taken too late" });
      continue;
    }
    const ends = event.type === "frozen" || (event.type === "result" && event.frame.epoch === epoch);
    const isDead = mine === null || !ends || world.dead.includes(epoch);
    go(`${id}: ${event.type}`, false, isDead ? to : { ...to, dead: [...to.dead, epoch] });
  }
}

function failure(epoch: number): (RunEvent & { type: "result" })["frame"] {
  return { kind: "failure", epoch, failure: { step: "codex", message: "" } };
}

function published(kind: "comment" | "none"): RunEvent {
  return { type: "published", publication: { kind, url: null, commentId: null, checkRunId: null } };
}

function intend(id: MachineId, interruptible: boolean): Launch {
  const image = "sha256:i" as Digest;
  const provider = { name: "fake", acceleration: "kvm", image, spec: image } as const;
  const wanted = { id: launchIdOf(id), provider, count: 1, plan: {}, interruptible };
  return intendLaunch({ ...wanted, now: NOW, runMsMax: limits.runMsMax });
}

/** Run and machine are written together or not at all, as runs/dispatch.ts does it. */
function claim(world: World, id: MachineId, rules: Rules): World {
  const slot = world.slots.find((one) => one.id === id);
  if (slot === undefined || slot.record === null || world.run.phase !== "queued" || world.run.source === null) {
    return world;
  }
  if (!rules.mayServe(slot.record, world.run)) {
    return world;
  }
  const wanted = { run: world.run.id, epoch: world.run.epoch + 1 };
  const machine = rules.decideMachine(slot.record, { type: "claim", claim: wanted }, NOW).machine;
  const run = rules.decideRun(world.run, { type: "claimed", machine: id, capabilityHash: `c${wanted.epoch}` }, NOW).run;
  const isTaken = machine.phase === "claimed" && machine.claim.epoch === wanted.epoch && run.phase === "running";
  if (!isTaken) {
    return world;
  }
  const reused = claimOf(slot.record) !== null ? "a machine was claimed twice" : null;
  const late = world.shown ? "an attempt began after the result was shown" : null;
  const to = replace(world, id, { ...slot, record: machine });
  return { ...to, run, broken: reused ?? late ?? to.broken ?? wrongChange(world.run, run) };
}

/** The run once each of its deadlines has passed. What is overdue already ages no further: it ends whatever comes. */
function agedRuns(world: World, rules: Rules): [string, World][] {
  const { run } = world;
  const ticked = rules.decideRun(run, { type: "tick" }, NOW).run;
  if (ticked !== run) {
    return [];
  }
  if (run.phase === "queued") {
    return [["time to wait is over", { ...world, run: { ...run, since: LONG_AGO } }]];
  }
  if (run.phase !== "running") {
    return [];
  }
  const { attempt, setupConnections = [] } = run;
  if (setupConnections.some(({ end, openedAt }) => end === null && openedAt === NOW)) {
    const aged = setupConnections.map((one) => ({ ...one, openedAt: LONG_AGO }));
    return [["a connection's longest life is over", { ...world, run: { ...run, setupConnections: aged } }]];
  }
  const dead = world.dead.includes(run.epoch) ? world.dead : [...world.dead, run.epoch];
  return attempt.frozenAt === null
    ? [["the deadline has passed", { ...world, dead, run: { ...run, attempt: { ...attempt, deadline: LONG_AGO } } }]]
    : [["the result is overdue", { ...world, run: { ...run, attempt: { ...attempt, frozenAt: LONG_AGO } } }]];
}

function agedMachines(world: World, id: MachineId, rules: Rules): [string, World][] {
  const slot = world.slots.find((one) => one.id === id);
  if (
    slot === undefined ||
    slot.record === null ||
    rules.decideMachine(slot.record, { type: "tick" }, NOW).machine !== slot.record
  ) {
    return [];
  }
  const { record } = slot;
  const as = (aged: Machine): World => replace(world, id, { ...slot, record: aged });
  switch (record.phase) {
    case "booting":
      return [["time to boot is over", as({ ...record, launchedAt: LONG_AGO })]];
    case "ready":
      return [
        ["silence is too long", as({ ...record, heardAt: LONG_AGO })],
        ["time to wait is over", as({ ...record, readyAt: LONG_AGO })],
      ];
    case "claimed": {
      const { epoch } = record.claim;
      const dead = world.dead.includes(epoch) ? world.dead : [...world.dead, epoch];
      return [
        ["silence is too long", { ...as({ ...record, heardAt: LONG_AGO }), dead }],
        ["life is over", { ...as({ ...record, deadline: LONG_AGO }), dead }],
      ];
    }
    case "destroying":
    case "gone":
      return [];
    default:
      return assertNever(record);
  }
}
