/** What was measured on one way: milliseconds, in no order. */
export interface Samples {
  readonly firstByteMs: readonly number[];
  /** From the model's writing of an event to its reading. */
  readonly eventMs: readonly number[];
}

interface Spread {
  readonly median: number;
  readonly p99: number;
}

export interface Figures {
  readonly firstByteMs: Spread;
  readonly eventMs: Spread;
}

/**
 * How busy whoever took part was: a process as a share of one core, the host as a share of all of its cores. Whatever else
 * runs on the host is in its share, and in every figure.
 */
export interface Busy {
  readonly model: number;
  readonly gateway: number;
  readonly readers: number;
  readonly host: number;
}

/** One load, sent both ways. */
export interface LoadReport {
  readonly name: string;
  /** In one round each way. */
  readonly calls: number;
  readonly spreadMs: number;
  readonly rounds: number;
  readonly direct: Figures;
  readonly gateway: Figures;
  /** The gateway's figures divided by the direct ones of the same rounds. */
  readonly ratio: Figures;
  readonly busy: { readonly direct: Busy; readonly gateway: Busy };
}

/** The gateway's memory in MiB between two rounds. */
interface Memory {
  /** What the system counts as its own. */
  readonly resident: number;
  /** What its heap holds once all garbage is collected. */
  readonly held: number;
}

/** After the first round, which is not counted, halfway, and after the last. */
interface MemoryCourse {
  readonly start: Memory;
  readonly middle: Memory;
  readonly end: Memory;
}

export interface Report {
  readonly streams: number;
  readonly eventsPerSecond: number;
  readonly events: number;
  /** Streams that were not answered whole and unchanged. */
  readonly broken: number;
  readonly loads: readonly LoadReport[];
  readonly gatewayMemoryMib: MemoryCourse;
}

/** With less than this left of the host, processes wait for a core, and the figures are mostly of that. */
const HOST_BUSY_MAX = 0.85;

export function figuresOf({ firstByteMs, eventMs }: Samples): Figures {
  return { firstByteMs: spreadOf(firstByteMs), eventMs: spreadOf(eventMs) };
}

export function ratioOf(gateway: Figures, direct: Figures): Figures {
  const ratio = (over: Spread, under: Spread): Spread => ({
    median: over.median / under.median,
    p99: over.p99 / under.p99,
  });
  return {
    firstByteMs: ratio(gateway.firstByteMs, direct.firstByteMs),
    eventMs: ratio(gateway.eventMs, direct.eventMs),
  };
}

/** The nearest rank. NaN of nothing. */
function spreadOf(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((one, other) => one - other);
  const at = (part: number): number => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
  return { median: at(0.5), p99: at(0.99) };
}

/** The report for a person. */
export function renderReport({ streams, eventsPerSecond, events, broken, loads, gatewayMemoryMib }: Report): string {
  const memory = (name: string, kind: keyof Memory): string => {
    const { start, middle, end } = gatewayMemoryMib;
    const [from, halfway, to] = [start, middle, end].map((at) => at[kind].toFixed(0));
    return `${name.padEnd(22)}${from} MiB at the start, ${halfway} halfway, ${to} at the end (${(end[kind] / start[kind]).toFixed(2)} x)`;
  };
  return [
    `${streams} streams at once, ${eventsPerSecond} events a second each; ${events} events in all; ${broken} streams broken`,
    ...loads.flatMap(linesOf),
    "",
    memory("gateway, resident", "resident"),
    memory("gateway, heap in use", "held"),
    "",
  ].join("\n");
}

function linesOf({ name, calls, spreadMs, rounds, direct, gateway, ratio, busy }: LoadReport): string[] {
  const row = (words: string, kind: keyof Figures, rank: keyof Spread): string =>
    [
      words.padEnd(20),
      `${direct[kind][rank].toFixed(2)} ms`.padStart(12),
      `${gateway[kind][rank].toFixed(2)} ms`.padStart(12),
      `${(gateway[kind][rank] - direct[kind][rank]).toFixed(2)} ms`.padStart(12),
      `${ratio[kind][rank].toFixed(1)} x`.padStart(10),
    ].join("");
  const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
  const host = Math.max(busy.direct.host, busy.gateway.host);
  return [
    "",
    `${name}: ${calls} calls, the first of each stream within ${spreadMs / 1000} s; ${rounds === 1 ? "1 round" : `${rounds} rounds`} each way`,
    `${"".padEnd(20)}${"direct".padStart(12)}${"gateway".padStart(12)}${"it adds".padStart(12)}${"ratio".padStart(10)}`,
    row("first byte, median", "firstByteMs", "median"),
    row("first byte, p99", "firstByteMs", "p99"),
    row("event, median", "eventMs", "median"),
    row("event, p99", "eventMs", "p99"),
    ...(["direct", "gateway"] as const).map((way) => {
      const { model, readers, host: all } = busy[way];
      const own = way === "gateway" ? `, gateway ${percent(busy.gateway.gateway)}` : "";
      return (
        `busy, ${way}`.padEnd(20) +
        `of a core: model ${percent(model)}${own}, readers ${percent(readers)}; host ${percent(all)}`
      );
    }),
    ...(host > HOST_BUSY_MAX ? ["The host had next to no core left: most of this is waiting for one."] : []),
  ];
}
