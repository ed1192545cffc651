import { describe, expect, it } from "vitest";
import { limits } from "./limits.ts";
import type { Machine, MachineEvent } from "./machine.ts";
import type { Run, RunEvent } from "./run.ts";
import { movesFrom } from "./state-moves.fixture.ts";
import {
  faultOf,
  identityOf,
  isOverAndClean,
  NOW,
  realRules,
  type Rules,
  startOfWorld,
  type World,
} from "./state-world.fixture.ts";

/** What a search saw. `fault` names the first thing that went wrong, `trace` the moves that led to it. */
interface Seen {
  readonly states: number;
  readonly transitions: number;
  readonly fault: string | null;
  readonly trace: readonly string[];
}

/** More than the real rules have by far: a rule that lets the world grow without end must fail, not hang. */
const STATES_MAX = 2_000_000;

/** Visits every world that can be reached, nearest first, and asks of each whether it is sound and can still end well. */
function search(rules: Rules): Seen {
  const start = startOfWorld(rules);
  const known = new Map<string, number>([[identityOf(start), 0]]);
  const cameFrom: { parent: number; move: string }[] = [{ parent: -1, move: "start" }];
  const fairInto: number[][] = [[]];
  const goals: number[] = [];
  let transitions = 0;
  let frontier: { index: number; world: World }[] = [{ index: 0, world: start }];
  const end = (fault: string | null, at: number): Seen => ({
    states: known.size,
    transitions,
    fault,
    trace: traceTo(cameFrom, at),
  });

  while (frontier.length > 0) {
    const next: typeof frontier = [];
    for (const { index, world } of frontier) {
      if (isOverAndClean(world)) {
        goals.push(index);
      }
      for (const { name, fair, to } of movesFrom(world, rules, () => (transitions += 1))) {
        const identity = identityOf(to);
        let target = known.get(identity);
        if (target === undefined) {
          target = known.size;
          known.set(identity, target);
          cameFrom.push({ parent: index, move: name });
          fairInto.push([]);
          const fault = faultOf(to, rules);
          if (fault !== null) {
            return end(fault, target);
          }
          next.push({ index: target, world: to });
        }
        if (fair && target !== index) {
          fairInto[target]?.push(index);
        }
      }
    }
    if (known.size > STATES_MAX) {
      return end("there is no end to it", 0);
    }
    frontier = next;
  }
  const stuck = firstStuck(goals, fairInto);
  return stuck === null ? end(null, 0) : end("no fair schedule ends this run", stuck);
}

/** The first world from which no fair moves lead to a run that is done and to no machine at all. */
function firstStuck(goals: readonly number[], fairInto: readonly (readonly number[])[]): number | null {
  const good = new Uint8Array(fairInto.length);
  const open = [...goals];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (good[at] === 0) {
      good[at] = 1;
      open.push(...(fairInto[at] ?? []));
    }
  }
  const stuck = good.indexOf(0);
  return stuck === -1 ? null : stuck;
}

function traceTo(cameFrom: readonly { parent: number; move: string }[], index: number): string[] {
  const trace: string[] = [];
  for (let at = cameFrom[index]; at !== undefined && at.parent !== -1; at = cameFrom[at.parent]) {
    trace.unshift(at.move);
  }
  return trace;
}

describe("the run and its machines, in every order of events", () => {
  it("keeps every invariant in every state, and can end well from each", { timeout: 120_000 }, () => {
    const began = performance.now();
    const { states, transitions, fault, trace } = search(realRules);
    console.info(
      `explored ${states} states, ${transitions} transitions in ${Math.round(performance.now() - began)} ms`,
    );
    expect({ fault, trace }).toEqual({ fault: null, trace: [] });
    expect(states).toBeGreaterThan(10_000);
  });

  it("does so too when launches are cut short, come late, and grow old", { timeout: 120_000 }, () => {
    const { states, transitions, fault, trace } = search({ ...realRules, launchesFail: true, machinesMax: 2 });
    console.info(`with launches that fail: ${states} states, ${transitions} transitions`);
    expect({ fault, trace }).toEqual({ fault: null, trace: [] });
    expect(states).toBeGreaterThan(10_000);
  });
});

describe("machines that are taken back, in every order of events", () => {
  it("leave every invariant as it is, and a run that lost one gets none of them again", { timeout: 120_000 }, () => {
    const { states, transitions, fault, trace } = search({ ...realRules, takesBack: true, machinesMax: 2 });
    console.info(`with machines that are taken back: ${states} states, ${transitions} transitions`);
    expect({ fault, trace }).toEqual({ fault: null, trace: [] });
    expect(states).toBeGreaterThan(10_000);
  });
});

describe("a set-up that reaches a host, in every order of events", () => {
  it("leaves nothing open where a key may be, and holds up no run for ever", { timeout: 120_000 }, () => {
    const { states, transitions, fault, trace } = search({ ...realRules, connects: true, machinesMax: 2 });
    console.info(`with a set-up that reaches a host: ${states} states, ${transitions} transitions`);
    expect({ fault, trace }).toEqual({ fault: null, trace: [] });
    expect(states).toBeGreaterThan(10_000);
  });
});

describe("the search itself, on rules that are bent", () => {
  const { decideRun, decideMachine, decideLaunch, comparePresent } = realRules;
  const taking: Rules = { ...realRules, takesBack: true, machinesMax: 3 };
  const failing: Rules = { ...realRules, launchesFail: true, machinesMax: 1 };
  /** What the run decides, but with another run in its place where `bend` says so. */
  const bendRun = (bend: (before: Run, event: RunEvent, after: Run) => Run): Rules => ({
    ...realRules,
    decideRun(run, event, now) {
      const after = decideRun(run, event, now).run;
      const bent = bend(run, event, after);
      return { run: bent, effects: decideRun(bent, { type: "tick" }, now).effects };
    },
  });
  const bendMachine = (bend: (before: Machine, event: MachineEvent, after: Machine) => Machine): Rules => ({
    ...realRules,
    decideMachine(machine, event, now) {
      const bent = bend(machine, event, decideMachine(machine, event, now).machine);
      return { machine: bent, effects: decideMachine(bent, { type: "tick" }, now).effects };
    },
  });

  it.each<{ bent: string; rules: Rules; fault: string }>([
    {
      bent: "a result is published while its machine is still there",
      rules: bendRun((before, event, after) =>
        before.phase === "running" && event.type === "result" && after.phase === "destroying"
          ? { ...after, phase: "publishing", since: NOW }
          : after,
      ),
      fault: "a result was to be published early",
    },
    {
      bent: "a lost attempt is tried again before its machine is gone",
      rules: bendRun((_before, _event, after) =>
        after.phase === "destroying" && after.ending.outcome === "lost" && after.epoch < limits.attemptsMax
          ? { ...after, phase: "queued", since: NOW, waitingFor: "" }
          : after,
      ),
      fault: "a result was to be published early",
    },
    {
      bent: "a machine is cleaned and used again",
      rules: bendMachine((before, event, after) =>
        before.phase === "claimed" && event.type === "hello" && after.phase === "claimed"
          ? { ...after, phase: "ready", readyAt: NOW, heardAt: NOW }
          : after,
      ),
      fault: "a machine went back in its life",
    },
    {
      bent: "a machine is given a second attempt",
      rules: bendMachine((before, event, after) =>
        before.phase === "gone" && before.claim !== null && event.type === "claim"
          ? { ...before, phase: "claimed", readyAt: NOW, claim: event.claim, heardAt: NOW }
          : after,
      ),
      fault: "a machine was claimed twice",
    },
    {
      bent: "a machine that is being destroyed is claimed",
      rules: bendMachine((before, event, after) =>
        before.phase === "destroying" && before.claim === null && event.type === "claim"
          ? { ...before, phase: "claimed", readyAt: NOW, claim: event.claim, heardAt: NOW }
          : after,
      ),
      fault: "a machine went back in its life",
    },
    {
      bent: "the gate passes while the set-up has a connection",
      rules: {
        ...bendRun((before, event, after) =>
          before.phase === "running" && event.type === "gate_passed"
            ? { ...before, attempt: { ...before.attempt, gate: event.report } }
            : after,
        ),
        connects: true,
        machinesMax: 1,
      },
      fault: "a connection of the set-up is open where a key may be",
    },
    {
      bent: "a run is given any machine, though the last one was taken back",
      rules: { ...taking, mayServe: () => true },
      fault: "a run whose machine was taken back went on with one that may be",
    },
    {
      bent: "a result of another epoch is taken",
      rules: bendRun((before, event, after) =>
        event.type === "result" && before.phase === "running"
          ? decideRun(before, { ...event, frame: { ...event.frame, epoch: before.epoch } }, NOW).run
          : after,
      ),
      fault: "a machine changed an attempt that is not its own",
    },
    {
      bent: "a result is taken whenever it comes",
      rules: bendRun((before, event, after) =>
        event.type === "result" && before.phase === "running" && before.attempt.frozenAt !== null
          ? decideRun({ ...before, attempt: { ...before.attempt, frozenAt: NOW } }, event, NOW).run
          : after,
      ),
      fault: "a result was taken too late",
    },
    {
      bent: "evidence that found the machine counts as proof",
      rules: bendMachine((before, event, after) =>
        before.phase === "destroying" && event.type === "absent"
          ? { ...before, phase: "gone", evidence: event.evidence }
          : after,
      ),
      fault: "a machine was called gone that is there",
    },
    {
      bent: "freeze does not kill the capability",
      rules: { ...realRules, isAlive: (run, machine) => run.phase === "running" && run.attempt.machine === machine },
      fault: "a capability lives after freeze, end or lease",
    },
    {
      bent: "the broker does not ask whether the machine's lease has ended",
      rules: { ...realRules, isLeased: () => true },
      fault: "a capability lives after freeze, end or lease",
    },
    {
      bent: "a late heartbeat renews a lease that has ended",
      rules: bendMachine((before, event, after) =>
        before.phase === "claimed" && event.type === "heard" ? { ...before, heardAt: NOW } : after,
      ),
      fault: "a capability lives after freeze, end or lease",
    },
    {
      bent: "what a machine says counts for whichever attempt is running",
      rules: bendRun((before, event, after) => {
        const { machine: _unsaid, ...unfenced } = { machine: null, ...event };
        return event.type === "frozen" ? decideRun(before, unfenced as RunEvent, NOW).run : after;
      }),
      fault: "a machine changed an attempt that is not its own",
    },
    {
      bent: "a second attempt takes the first one's epoch",
      rules: bendRun((before, event, after) =>
        before.phase === "queued" && event.type === "claimed" && after.phase === "running"
          ? { ...after, epoch: 0, attempt: { ...after.attempt, epoch: 1 } }
          : after,
      ),
      fault: "two machines serve one epoch",
    },
    {
      bent: "an attempt counts for more than one",
      rules: bendRun((_before, event, after) =>
        event.type === "claimed" ? { ...after, epoch: after.epoch * 2 } : after,
      ),
      fault: "epochs do not grow one by one up to the most",
    },
    {
      bent: "evidence is not written down",
      rules: bendRun((before, event, after) =>
        event.type === "machine_gone" ? { ...after, gone: before.gone } : after,
      ),
      fault: "a result was to be published early",
    },
    {
      bent: "a run that is done can still be ended",
      rules: bendRun((before, event, after) =>
        before.phase === "done" && event.type === "end" ? { ...before, ending: event.ending } : after,
      ),
      fault: "a run that was done changed",
    },
    {
      bent: "nobody says when the key died",
      rules: bendRun((before, _event, after) => {
        const { key_dead: _forgotten, ...times } = after.times;
        return before.phase === "running" && after.phase === "destroying" ? { ...after, times } : after;
      }),
      fault: "nobody wrote down when the key died",
    },
    {
      bent: "a machine that is to be destroyed is forgotten",
      rules: {
        ...realRules,
        machinesMax: 1,
        decideMachine(machine, event, now) {
          const decision = decideMachine(machine, event, now);
          return { ...decision, effects: decision.effects.filter(({ type }) => type !== "destroy") };
        },
      },
      fault: "no fair schedule ends this run",
    },
    {
      bent: "a machine is asked for before anybody has written it down",
      rules: { ...failing, intendsFirst: false },
      fault: "a machine is there that nobody has written down",
    },
    {
      bent: "what an open launch has made is destroyed because it has no record yet",
      rules: {
        ...failing,
        comparePresent: (found, now, lag) => comparePresent({ ...found, launches: [] }, now, lag),
      },
      fault: "what an open launch made was destroyed",
    },
    {
      bent: "a machine with a record is taken for a stranger",
      rules: {
        ...failing,
        comparePresent: (found, now, lag) => comparePresent({ ...found, machines: [] }, now, lag),
      },
      fault: "a recorded machine was destroyed as a stranger",
    },
    {
      bent: "a machine without a record is left alone for ever",
      rules: {
        ...failing,
        comparePresent: (found, now, lag) => ({ ...comparePresent(found, now, lag), strangers: [] }),
      },
      fault: "no fair schedule ends this run",
    },
    {
      bent: "an answer that comes late changes a settled launch",
      rules: {
        ...failing,
        decideLaunch: (launch, event, now) =>
          event.type === "failed"
            ? decideLaunch({ ...launch, phase: "intended", machines: [], missing: [] }, event, now)
            : decideLaunch(launch, event, now),
      },
      fault: "a settled launch changed",
    },
    {
      bent: "a run does not hear that its machine is gone",
      rules: {
        ...bendRun((before, event, after) => (event.type === "machine_gone" ? before : after)),
        machinesMax: 1,
      },
      fault: "no fair schedule ends this run",
    },
  ])("finds that $bent", ({ rules, fault }) => {
    const seen = search(rules);
    expect(seen).toMatchObject({ fault });
  });

  it("finds nothing in the same rules when they are wrapped but not bent", () => {
    const rules = { ...bendRun((_before, _event, after) => after), machinesMax: 1 };
    expect(search(rules).fault).toBeNull();
    expect(search({ ...bendMachine((_before, _event, after) => after), machinesMax: 1 }).fault).toBeNull();
  });
});
