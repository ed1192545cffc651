import { limits, type MachineId } from "@mayfly/core";
import type { FastifyReply } from "fastify";
import { Refusal } from "./refusal.ts";

/** One model call under way. */
export interface OpenCall {
  readonly machine: MachineId;
  /** Aborted when the caller has left, when it was answered, at its end of time, or by a cut. */
  readonly signal: AbortSignal;
  /** Ends the call after so many milliseconds. */
  endAfter(ms: number): void;
  /** What it asked for was refused. Too many of these close the machine's way to the model. */
  noteRefused(): void;
}

/** Which machine has which model calls under way. */
export interface Calls {
  /** Throws BUSY, CALLS_CLOSED. */
  open(machine: MachineId, reply: FastifyReply): OpenCall;
  /** Machines that have calls under way. */
  machines(): MachineId[];
  /** Ends every call of this machine at once, and forgets what was refused. Idempotent. */
  cut(machine: MachineId): void;
}

/** Codex makes one call at a time: a place is free again as soon as one before it is seen to have ended. */
const BUSY_SECONDS = 1;
/**
 * Codex stops at the first refusal, or waits as it is told. More come from something else, and reading a request only to
 * refuse it takes time from every other machine.
 */
const REFUSED_MAX = 32;
/** The longest that a timer of Node's can be set for. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export function createCalls(): Calls {
  const calls = new Map<MachineId, Set<AbortController>>();
  const refused = new Map<MachineId, number>();
  return {
    open(machine, reply) {
      if ((refused.get(machine) ?? 0) >= REFUSED_MAX) {
        throw new Refusal("CALLS_CLOSED");
      }
      const mine = calls.get(machine) ?? new Set();
      if (mine.size >= limits.modelConcurrencyMax) {
        throw new Refusal("BUSY", { retryAfterSeconds: BUSY_SECONDS });
      }
      const abort = new AbortController();
      let timer: NodeJS.Timeout | undefined;
      calls.set(machine, mine.add(abort));
      // Comes once in every case: after the last byte, when the caller leaves, when the channel is closed.
      reply.raw.once("close", () => {
        clearTimeout(timer);
        mine.delete(abort);
        if (mine.size === 0 && calls.get(machine) === mine) {
          calls.delete(machine);
        }
        abort.abort();
      });
      return {
        machine,
        signal: abort.signal,
        noteRefused: () => void refused.set(machine, (refused.get(machine) ?? 0) + 1),
        endAfter(ms) {
          clearTimeout(timer);
          timer = setTimeout(() => abort.abort(), Math.min(Math.max(0, ms), TIMER_MS_MAX));
        },
      };
    },
    machines: () => [...calls.keys()],
    cut(machine) {
      refused.delete(machine);
      for (const abort of calls.get(machine) ?? []) {
        abort.abort();
      }
    },
  };
}
