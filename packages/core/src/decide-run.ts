import { assertNever } from "./assert.ts";
import { endingOf, type Ending } from "./ending.ts";
import type { Digest, Instant, MachineId } from "./ids.ts";
import { limits } from "./limits.ts";
import type { SourceLayout } from "./protocol.ts";
import type { Attempt, GoneMachine, Run, RunBase, RunEffect, RunEvent, Step, Times } from "./run.ts";
import {
  closeSetupConnection,
  extendSetupConnection,
  hasOpenSetupConnection,
  openSetupConnection,
} from "./setup-connection.ts";
import { needsSteady } from "./steady.ts";

export interface RunDecision {
  readonly run: Run;
  readonly effects: readonly RunEffect[];
}

/**
 * The run's life: queued → running → destroying → publishing → done; a lost attempt goes from destroying back to queued
 * while attempts are left. Pure; an event that does not fit changes nothing. Effects follow from the phase alone, so a
 * `tick` after a crash asks again for whatever was interrupted.
 */
export function decideRun(run: Run, event: RunEvent, now: Instant): RunDecision {
  const next = step(overdue(run, now), event, now);
  return { run: next, effects: effectsOf(next) };
}

/** True while the attempt's capability (and key, if lent) is alive: the broker asks before every answer (I4). */
export function isAlive(run: Run, machine: MachineId, now: Instant): boolean {
  return (
    run.phase === "running" &&
    run.attempt.machine === machine &&
    run.attempt.frozenAt === null &&
    now < aliveUntil(run.attempt)
  );
}

/**
 * When the attempt's rights are over by the clock. A little after its deadline: the agent ends Codex at that, and what it
 * says of it is the reason that people read.
 */
export function aliveUntil({ deadline }: Attempt): Instant {
  return deadline + CODEX_END_MS;
}

/** From the deadline until the agent must have ended Codex, frozen, and begun to post; then it is destroyed. */
const CODEX_END_MS = 20_000;

/** EC2 is the one provider that takes machines back. */
const TAKEN_BACK = "AWS took the machine back";

function step(run: Run, event: RunEvent, now: Instant): Run {
  switch (run.phase) {
    case "queued":
      return whenQueued(run, event, now);
    case "running":
      return whenRunning(run, event, now);
    case "destroying":
      return whenDestroying(run, event, now);
    case "publishing":
      return whenPublishing(run, event, now);
    case "done":
      return event.type === "archived" && !run.archived ? { ...run, archived: true } : run;
    default:
      return assertNever(run);
  }
}

function whenQueued(run: Run & { phase: "queued" }, event: RunEvent, now: Instant): Run {
  switch (event.type) {
    case "source_prepared":
      return { ...run, source: event.layout, waitingFor: "a machine" };
    case "waiting":
      return { ...run, waitingFor: event.reason };
    case "stopped":
    case "end":
      return publishing(run, { ending: event.ending, attempt: null, resultDigest: null }, now);
    case "claimed":
      return run.source === null ? run : running(run, run.source, event, now);
    default:
      return run;
  }
}

function running(
  run: Run,
  source: SourceLayout,
  event: { machine: MachineId; capabilityHash: string },
  now: Instant,
): Run {
  const attempt: Attempt = {
    epoch: run.epoch + 1,
    machine: event.machine,
    claimedAt: now,
    deadline: now + run.request.task.timeoutMs,
    capabilityHash: event.capabilityHash,
    gate: null,
    key: null,
    keyBefore: null,
    frozenAt: null,
  };
  const { requested, queued } = run.times;
  const times: Times = {
    ...(requested === undefined ? {} : { requested }),
    ...(queued === undefined ? {} : { queued }),
    claimed: now,
  };
  return { ...base(run), epoch: attempt.epoch, times, phase: "running", source, attempt };
}

function whenRunning(run: Run & { phase: "running" }, event: RunEvent, now: Instant): Run {
  const { attempt } = run;
  if ("machine" in event && event.machine !== attempt.machine) {
    return run;
  }
  switch (event.type) {
    case "step":
      return attempt.frozenAt === null ? at(run, event.step, now) : run;
    case "setup_opened":
      return openSetupConnection(run, event, now);
    case "setup_extended":
      return extendSetupConnection(run, event, now);
    case "setup_closed":
      return closeSetupConnection(run, event.id, { ...event.end, at: now });
    case "gate_passed":
      // Where a key may be, nothing leads out but the model's way.
      return attempt.gate === null && attempt.frozenAt === null && !hasOpenSetupConnection(run, now)
        ? at({ ...run, attempt: { ...attempt, gate: event.report } }, "strategy_applied", now)
        : run;
    case "key_lent":
      return attempt.gate === null || attempt.frozenAt !== null
        ? run
        : at(
            {
              ...run,
              attempt: { ...attempt, key: { hash: event.hash, expiresAt: now + limits.keyMs }, keyBefore: attempt.key },
            },
            "key_lent",
            now,
          );
    case "model_called":
      return { ...run, modelCalls: run.modelCalls + 1 };
    case "frozen":
      return attempt.frozenAt === null ? at(freeze(run, now), "key_dead", now) : run;
    case "result":
      // A result that comes without freeze freezes: what it carries was collected, so nothing may be lent any more.
      return event.frame.epoch === attempt.epoch
        ? destroying(at(freeze(run, now), "result_posted", now), endingOf(event.frame), event.digest, now)
        : run;
    case "machine_lost":
      return event.why === "taken_back"
        ? destroying(withTakenBack(run, now), { outcome: "lost", code: "machine_lost", detail: TAKEN_BACK }, null, now)
        : destroying(run, { outcome: "lost", code: "machine_lost", detail: event.why }, null, now);
    case "machine_gone": {
      // Its machine says "lost" before it says "gone"; should that word have been missed, this one means both.
      const ending: Ending = { outcome: "lost", code: "machine_lost", detail: "the machine is gone" };
      return whenDestroying(destroying(run, ending, null, now), event, now);
    }
    case "end":
      return destroying(run, event.ending, null, now);
    default:
      return run;
  }
}

function whenDestroying(run: Run & { phase: "destroying" }, event: RunEvent, now: Instant): Run {
  switch (event.type) {
    case "end":
      return { ...run, ending: event.ending };
    case "setup_closed":
      return closeSetupConnection(run, event.id, { ...event.end, at: now });
    case "machine_gone": {
      if (event.machine !== run.attempt.machine) {
        return run;
      }
      const proof: GoneMachine = { machine: event.machine, epoch: run.attempt.epoch, evidence: event.evidence };
      const proved = at({ ...run, gone: [...run.gone, proof] }, "machine_gone", now);
      return run.ending.outcome === "lost" && run.epoch < limits.attemptsMax
        ? {
            ...base(proved),
            phase: "queued",
            since: now,
            source: run.source,
            waitingFor: needsSteady(run)
              ? "an on-demand machine, since AWS took the last one back"
              : "another machine, since the last one was lost",
          }
        : publishing(proved, run, now);
    }
    default:
      return run;
  }
}

function whenPublishing(run: Run & { phase: "publishing" }, event: RunEvent, now: Instant): Run {
  switch (event.type) {
    case "ending_changed":
      return { ...run, ending: event.ending };
    case "published": {
      const { ending, attempt, resultDigest } = run;
      const { publication } = event;
      const timed = publication.kind === "none" ? run : at(run, "published", now);
      return {
        ...base(timed),
        phase: "done",
        attempt,
        ending,
        resultDigest,
        publication,
        endedAt: now,
        archived: false,
      };
    }
    default:
      return run;
  }
}

/** Deadlines hold whatever event arrives. */
function overdue(run: Run, now: Instant): Run {
  switch (run.phase) {
    case "queued":
      return now >= run.since + limits.queueMs
        ? publishing(
            run,
            {
              ending: { outcome: "failed", code: "no_machine", detail: run.waitingFor },
              attempt: null,
              resultDigest: null,
            },
            now,
          )
        : run;
    case "running": {
      const { frozenAt } = run.attempt;
      if (frozenAt !== null) {
        return now >= frozenAt + limits.resultMs
          ? destroying(
              run,
              { outcome: "lost", code: "result_missing", detail: "no result came after Codex had ended" },
              null,
              now,
            )
          : run;
      }
      return now >= aliveUntil(run.attempt)
        ? destroying(run, { outcome: "timed_out", code: "deadline", detail: "Codex did not end in time" }, null, now)
        : run;
    }
    case "publishing":
    case "destroying":
    case "done":
      return run;
    default:
      return assertNever(run);
  }
}

function effectsOf(run: Run): RunEffect[] {
  switch (run.phase) {
    case "queued":
      return run.source === null
        ? [{ type: "prepare_source" }, { type: "show_progress" }]
        : [{ type: "show_progress" }];
    case "running":
      return [{ type: "show_progress" }];
    case "destroying":
      return [{ type: "destroy_machine", machine: run.attempt.machine }];
    case "publishing":
      return [{ type: "publish" }];
    case "done":
      return run.archived ? [] : [{ type: "archive" }];
    default:
      return assertNever(run);
  }
}

function freeze(run: Run & { phase: "running" }, now: Instant): Run & { phase: "running" } {
  const { attempt } = run;
  return { ...run, attempt: { ...attempt, key: null, keyBefore: null, frozenAt: attempt.frozenAt ?? now } };
}

/** However an attempt ends, capability and key die with it. */
function destroying(
  run: Run & { phase: "running" },
  ending: Ending,
  resultDigest: Digest | null,
  now: Instant,
): Run & { phase: "destroying" } {
  const { source, attempt } = run;
  const dead = base(at(run, "key_dead", now));
  return {
    ...dead,
    phase: "destroying",
    source,
    attempt: { ...attempt, key: null, keyBefore: null },
    ending,
    resultDigest,
  };
}

function publishing(
  run: Run,
  outcome: { ending: Ending; attempt: Attempt | null; resultDigest: Digest | null },
  now: Instant,
): Run {
  const { ending, attempt, resultDigest } = outcome;
  return { ...base(run), phase: "publishing", since: now, ending, attempt, resultDigest };
}

function withTakenBack(run: Run & { phase: "running" }, now: Instant): Run & { phase: "running" } {
  const { machine, epoch } = run.attempt;
  return { ...run, takenBack: { machine, epoch, at: now } };
}

/** The first time counts: a repeated event does not move it. */
function at<R extends Run>(run: R, name: Step, now: Instant): R {
  return run.times[name] === undefined ? { ...run, times: { ...run.times, [name]: now } } : run;
}

function base(run: Run): RunBase {
  const { schema, id, request, createdAt, epoch, times, gone, modelCalls, takenBack, setupConnections } = run;
  return {
    schema,
    id,
    request,
    createdAt,
    epoch,
    times,
    gone,
    modelCalls,
    ...(takenBack === undefined ? {} : { takenBack }),
    ...(setupConnections === undefined ? {} : { setupConnections }),
  };
}
