import type { Instant } from "./ids.ts";
import { limits } from "./limits.ts";
import type { Run } from "./run.ts";

/** A connection that a task's set-up had to a host outside, through the broker. Its bytes are those within the tunnel. */
export interface SetupConnection {
  /** The broker's own name for it. */
  readonly id: string;
  readonly epoch: number;
  readonly host: string;
  readonly openedAt: Instant;
  /** What may leave through it by now: taken from what the attempt may send in all, before it is sent. */
  readonly reservedBytes: number;
  /** Null while it is open, and for ever if its broker ended before it could say. */
  readonly end: SetupConnectionEnd | null;
}

/** How a connection ended. */
export interface SetupConnectionEnd {
  readonly at: Instant;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly why: SetupConnectionWhy;
}

/**
 * `closed`: one of its two ends did. `cut`: the attempt's time for it was over. `not_tls`: what was sent first does not ask
 * for that host in TLS. `unreachable`: nobody answered there. `sent`, `received`, `time`: a bound was reached.
 */
export type SetupConnectionWhy = "closed" | "cut" | "not_tls" | "unreachable" | "sent" | "received" | "time";

/**
 * Why a connection cannot be opened now, in words for whoever reads the set-up's output; null if it can. Pure. The
 * operator's own list is not looked at here.
 */
export function refuseSetupConnection(run: Run, host: string, now: Instant): string | null {
  if (run.phase !== "running" || run.attempt.frozenAt !== null || run.attempt.gate !== null) {
    return "the time for set-up is over";
  }
  const hosts = run.request.task.network ?? [];
  if (!hosts.includes(host)) {
    const named = hosts.length === 0 ? "it names none" : `it names ${hosts.join(", ")}`;
    return `the task's \`network\` does not name this host; ${named}`;
  }
  const mine = ofAttempt(run);
  if (mine.length >= limits.setupConnectionsMax) {
    return `a set-up has at most ${limits.setupConnectionsMax} connections`;
  }
  if (mine.filter((one) => isOpen(one, now)).length >= limits.setupConnectionsOpenMax) {
    return `a set-up has at most ${limits.setupConnectionsOpenMax} connections at once`;
  }
  return spent(mine) + limits.setupReserveBytes > limits.setupSentBytesMax
    ? `a set-up sends at most ${limits.setupSentBytesMax} bytes in all`
    : null;
}

/** Whether a connection of the attempt may still carry anything: after its longest life it does not, whoever forgot it. */
export function hasOpenSetupConnection(run: Run, now: Instant): boolean {
  return ofAttempt(run).some((one) => isOpen(one, now));
}

/** Pure; the same run if it may not be opened, or is already. */
export function openSetupConnection<R extends Run>(run: R, asked: { id: string; host: string }, now: Instant): R {
  const { id, host } = asked;
  const before = run.setupConnections ?? [];
  if (before.some((one) => one.id === id) || refuseSetupConnection(run, host, now) !== null) {
    return run;
  }
  const reservedBytes = limits.setupReserveBytes;
  const opened: SetupConnection = { id, epoch: run.epoch, host, openedAt: now, reservedBytes, end: null };
  return { ...run, setupConnections: [...before, opened] };
}

/** Lets one more reserve leave through a connection, up to `reservedBytes`. Pure; the same run where nothing is left. */
export function extendSetupConnection<R extends Run>(
  run: R,
  asked: { id: string; reservedBytes: number },
  now: Instant,
): R {
  const mine = ofAttempt(run);
  const { gate, frozenAt } = run.phase === "running" ? run.attempt : { gate: true, frozenAt: now };
  const isNext = (one: SetupConnection) =>
    one.id === asked.id && isOpen(one, now) && one.reservedBytes + limits.setupReserveBytes === asked.reservedBytes;
  if (gate !== null || frozenAt !== null || spent(mine) + limits.setupReserveBytes > limits.setupSentBytesMax) {
    return run;
  }
  return replace(run, isNext, (one) => ({ ...one, reservedBytes: asked.reservedBytes }));
}

/** Pure; the first end counts. */
export function closeSetupConnection<R extends Run>(run: R, id: string, end: SetupConnectionEnd): R {
  return replace(
    run,
    (one) => one.id === id && one.end === null,
    (one) => ({ ...one, end }),
  );
}

function replace<R extends Run>(
  run: R,
  isIt: (one: SetupConnection) => boolean,
  change: (one: SetupConnection) => SetupConnection,
): R {
  const before = run.setupConnections ?? [];
  return before.some(isIt) ? { ...run, setupConnections: before.map((one) => (isIt(one) ? change(one) : one)) } : run;
}

function ofAttempt(run: Run): readonly SetupConnection[] {
  return (run.setupConnections ?? []).filter(({ epoch }) => epoch === run.epoch);
}

/** A broker ends a connection after its longest life by its own clock; it may not have been able to say so. */
function isOpen({ openedAt, end }: SetupConnection, now: Instant): boolean {
  return end === null && now < openedAt + limits.setupConnectionMs + CLOCKS_MS;
}

/** How far the clocks of two brokers may be apart, and the store's answer late. */
const CLOCKS_MS = 15_000;

function spent(connections: readonly SetupConnection[]): number {
  return connections.reduce((sum, { reservedBytes, end }) => sum + (end === null ? reservedBytes : end.sentBytes), 0);
}
