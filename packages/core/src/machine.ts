import { assertNever } from "./assert.ts";
import type { Digest, Instant, LaunchId, MachineId, RunId } from "./ids.ts";
import { bootBoundOf, type Launch } from "./launch.ts";
import { limits } from "./limits.ts";

/** Parts of one machine: ours have a disk and a network card, and an instance of EC2 takes some thirty of both. */
export const PARTS_MAX = 64;

/** Why a machine is ended. */
export type DestroyReason =
  | "attempt_ended"
  /** It ended while it booted. */
  | "launch_failed"
  | "boot_deadline"
  | "silent"
  | "vanished"
  /** Its provider wants it back: spot. */
  | "taken_back"
  | "idle"
  | "deadline"
  /** Nobody waits for it any more; it is spared if somebody has claimed it meanwhile. */
  | "unwanted"
  /** It is made of what is no longer launched; spared likewise. */
  | "outdated"
  | "claimed_twice"
  /** A second key, or another address, spoke for it. */
  | "enrolled_twice";

/** One thing looked for after destruction, and what was seen. */
export interface AbsenceCheck {
  readonly what: string;
  readonly absent: boolean;
}

/** The proof that a machine is gone: the provider's own listing, and each thing it owned. */
export interface Evidence {
  readonly at: Instant;
  readonly checks: readonly AbsenceCheck[];
}

/** The attempt a machine serves: at most one, ever (I1). */
export interface MachineClaim {
  readonly run: RunId;
  readonly epoch: number;
}

/** The one key that may speak for a machine, and where it speaks from. */
export interface Enrolment {
  /** SHA-256 of the machine's public key. */
  readonly key: Digest;
  readonly address: string;
}

interface MachineBase {
  readonly schema: 1;
  readonly id: MachineId;
  readonly provider: string;
  readonly acceleration: Acceleration;
  readonly image: Digest;
  /** What it is made of. */
  readonly spec: Digest;
  readonly launch: LaunchId;
  /** When its launch was intended. */
  readonly createdAt: Instant;
  /** When the provider named it. */
  readonly launchedAt: Instant;
  /** Null until its agent has shown a key; for ever where the channel itself is the identity. */
  readonly enrolled: Enrolment | null;
  /** It is destroyed then whatever it does: no intent without a deadline (I2). */
  readonly deadline: Instant;
  /** How long it may take to boot, ms; absent in older records: limits.bootMs. */
  readonly bootMs?: number;
  /**
   * What it was seen to have besides its processor, in its provider's own names: afterwards each is looked for. Absent
   * until something was seen.
   */
  readonly parts?: readonly string[];
  /** Its provider may take it back at any time: spot. */
  readonly interruptible?: true;
}

/** How the machine's processor runs. `emulated` gives no isolation guarantee: the receipt says so. */
export type Acceleration = "kvm" | "emulated" | "cloud";

export type Machine = MachineBase &
  (
    | { readonly phase: "booting" }
    | { readonly phase: "ready"; readonly readyAt: Instant; readonly heardAt: Instant }
    | {
        readonly phase: "claimed";
        readonly readyAt: Instant;
        readonly claim: MachineClaim;
        readonly heardAt: Instant;
      }
    | {
        readonly phase: "destroying";
        readonly why: DestroyReason;
        readonly since: Instant;
        readonly claim: MachineClaim | null;
      }
    | {
        readonly phase: "gone";
        readonly why: DestroyReason;
        readonly evidence: Evidence;
        readonly claim: MachineClaim | null;
      }
  );

export type MachineEvent =
  /** Time has passed, or a step was interrupted: look again. */
  | { readonly type: "tick" }
  /** Its agent shows its key, and where it speaks from. */
  | ({ readonly type: "enrol" } & Enrolment)
  /** The agent said its first words. */
  | { readonly type: "hello" }
  | { readonly type: "claim"; readonly claim: MachineClaim }
  | { readonly type: "heard" }
  /** It was seen to have these parts, perhaps among others. At most PARTS_MAX are kept. */
  | { readonly type: "seen"; readonly parts: readonly string[] }
  /** We were away, so its silence says nothing: it may speak again from now on. */
  | { readonly type: "adopt" }
  /** The provider no longer lists it though nobody destroyed it. */
  | { readonly type: "vanished" }
  | { readonly type: "destroy"; readonly why: DestroyReason }
  | { readonly type: "absent"; readonly evidence: Evidence };

/** What the shell must bring about. Each is safe to repeat. */
export type MachineEffect =
  /** Its channel is served; after a restart of the service, again. */
  | { readonly type: "listen" }
  | { readonly type: "destroy" }
  /** The machine failed its attempt: the run must know at once. */
  | { readonly type: "tell_run_lost"; readonly claim: MachineClaim; readonly why: DestroyReason }
  | { readonly type: "tell_run_gone"; readonly claim: MachineClaim; readonly evidence: Evidence };

export interface MachineDecision {
  readonly machine: Machine;
  readonly effects: readonly MachineEffect[];
}

/** The record of a machine that its provider has named: it is booting. The launch was written down before (I2). */
export function recordMachine(options: { id: MachineId; launch: Launch; now: Instant }): Machine {
  const { id, launch, now } = options;
  const { provider, acceleration, image, spec, createdAt, deadline } = launch;
  return {
    schema: 1,
    id,
    provider,
    acceleration,
    image,
    spec,
    launch: launch.id,
    createdAt,
    launchedAt: now,
    enrolled: null,
    deadline,
    ...(launch.bootMs === undefined ? {} : { bootMs: launch.bootMs }),
    ...(launch.interruptible === true ? { interruptible: true } : {}),
    phase: "booting",
  };
}

/**
 * The machine's life: booting → ready → claimed → destroying → gone, and from anywhere to destroying.
 * Pure; an event that does not fit the phase changes nothing. Effects follow from the phase alone, so a `tick` after a
 * crash asks again for whatever was interrupted.
 */
export function decideMachine(machine: Machine, event: MachineEvent, now: Instant): MachineDecision {
  const present = event.type === "adopt" ? heard(machine, now) : machine;
  const next = step(overdue(present, now), event, now);
  return { machine: next, effects: effectsOf(next) };
}

/** True once a claim has been accepted: the caller compares, since a refused claim changes nothing. */
export function isClaimedBy(machine: Machine, claim: MachineClaim): boolean {
  return machine.phase === "claimed" && machine.claim.run === claim.run && machine.claim.epoch === claim.epoch;
}

/**
 * True while the attempt it was claimed for still has a right to it: from the claim until it falls silent, its deadline
 * passes or it is to be destroyed, whether or not anybody has written that down yet. The broker asks before every answer (I4).
 */
export function isLeased(machine: Machine, now: Instant): boolean {
  return overdue(machine, now).phase === "claimed";
}

function step(machine: Machine, event: MachineEvent, now: Instant): Machine {
  switch (event.type) {
    case "tick":
    case "adopt":
      return machine;
    case "enrol":
      return enrolled(machine, event, now);
    case "hello":
      return machine.phase === "booting"
        ? { ...base(machine), phase: "ready", readyAt: now, heardAt: now }
        : heard(machine, now);
    case "claim":
      return machine.phase === "ready"
        ? { ...base(machine), phase: "claimed", readyAt: machine.readyAt, claim: event.claim, heardAt: now }
        : machine;
    case "heard":
      return heard(machine, now);
    case "seen":
      return withParts(machine, event.parts);
    case "vanished":
      return destroying(machine, machine.phase === "booting" ? "launch_failed" : "vanished", now);
    case "destroy": {
      const isSpared = (event.why === "unwanted" || event.why === "outdated") && machine.phase === "claimed";
      return isSpared ? machine : destroying(machine, event.why, now);
    }
    case "absent":
      return machine.phase === "destroying" && isProof(event.evidence)
        ? { ...base(machine), phase: "gone", why: machine.why, evidence: event.evidence, claim: machine.claim }
        : machine;
    default:
      return assertNever(event);
  }
}

/** Deadlines hold whatever event arrives, so that a late event cannot revive a machine. */
function overdue(machine: Machine, now: Instant): Machine {
  switch (machine.phase) {
    case "booting":
      return now >= machine.launchedAt + bootBoundOf(machine) ? destroying(machine, "boot_deadline", now) : machine;
    case "ready":
      if (now >= machine.heardAt + limits.heartbeatLossMs) {
        return destroying(machine, "silent", now);
      }
      return now >= machine.readyAt + limits.idleMachineMs ? destroying(machine, "idle", now) : machine;
    case "claimed":
      if (now >= machine.deadline) {
        return destroying(machine, "deadline", now);
      }
      return now >= machine.heardAt + limits.heartbeatLossMs ? destroying(machine, "silent", now) : machine;
    case "destroying":
    case "gone":
      return machine;
    default:
      return assertNever(machine);
  }
}

function effectsOf(machine: Machine): MachineEffect[] {
  switch (machine.phase) {
    case "booting":
    case "ready":
    case "claimed":
      return [{ type: "listen" }];
    case "destroying": {
      const destroy: MachineEffect = { type: "destroy" };
      return machine.claim === null || machine.why === "attempt_ended"
        ? [destroy]
        : [{ type: "tell_run_lost", claim: machine.claim, why: machine.why }, destroy];
    }
    case "gone":
      return machine.claim === null
        ? []
        : [{ type: "tell_run_gone", claim: machine.claim, evidence: machine.evidence }];
    default:
      return assertNever(machine);
  }
}

/** Evidence that found something, or looked for nothing, proves nothing. */
function isProof({ checks }: Evidence): boolean {
  return checks.length > 0 && checks.every(({ absent }) => absent);
}

/** One key from one address, once. Whoever shows another proves that the machine is not, or not alone, what we made. */
function enrolled(machine: Machine, { key, address }: Enrolment, now: Instant): Machine {
  if (machine.phase === "destroying" || machine.phase === "gone") {
    return machine;
  }
  if (machine.enrolled === null) {
    return { ...machine, enrolled: { key, address } };
  }
  const isSame = machine.enrolled.key === key && machine.enrolled.address === address;
  return isSame ? machine : destroying(machine, "enrolled_twice", now);
}

/** What is gone is not looked for any more. */
function withParts(machine: Machine, parts: readonly string[]): Machine {
  const before = machine.parts ?? [];
  const all = [...new Set([...before, ...parts])].slice(0, PARTS_MAX);
  return machine.phase === "gone" || all.length === before.length ? machine : { ...machine, parts: all };
}

function heard(machine: Machine, now: Instant): Machine {
  return machine.phase === "ready" || machine.phase === "claimed" ? { ...machine, heardAt: now } : machine;
}

function destroying(machine: Machine, why: DestroyReason, now: Instant): Machine {
  if (machine.phase === "destroying" || machine.phase === "gone") {
    return machine;
  }
  const claim = machine.phase === "claimed" ? machine.claim : null;
  return { ...base(machine), phase: "destroying", why, since: now, claim };
}

function base(machine: Machine): MachineBase {
  const { schema, id, provider, acceleration, image, spec, launch } = machine;
  const { createdAt, launchedAt, enrolled: enrolment, deadline, interruptible, bootMs, parts } = machine;
  return {
    schema,
    id,
    provider,
    acceleration,
    image,
    spec,
    launch,
    createdAt,
    launchedAt,
    enrolled: enrolment,
    deadline,
    ...(bootMs === undefined ? {} : { bootMs }),
    ...(parts === undefined ? {} : { parts }),
    ...(interruptible === true ? { interruptible } : {}),
  };
}
