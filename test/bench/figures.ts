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

/** The gateway's memory in MiB between two rounds. */
export interface Memory {
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
  readonly rounds: number;
  readonly events: number;
  /** Streams that were not answered whole and unchanged. */
  readonly broken: number;
  readonly direct: Figures;
  readonly gateway: Figures;
  /** The gateway's figures divided by the direct ones of the same run. */
  readonly ratio: Figures;
  readonly gatewayMemoryMib: MemoryCourse;
}

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
export function renderReport({
  streams,
  rounds,
  events,
  broken,
  direct,
  gateway,
  ratio,
  gatewayMemoryMib,
}: Report): string {
  const row = (name: string, kind: keyof Figures, rank: keyof Spread): string =>
    [
      name.padEnd(26),
      `${direct[kind][rank].toFixed(2)} ms`.padStart(12),
      `${gateway[kind][rank].toFixed(2)} ms`.padStart(12),
      `${ratio[kind][rank].toFixed(2)} x`.padStart(10),
    ].join("");
  const memory = (name: string, kind: keyof Memory): string => {
    const { start, middle, end } = gatewayMemoryMib;
    const [from, halfway, to] = [start, middle, end].map((at) => at[kind].toFixed(0));
    return `${name.padEnd(26)}${from} MiB at the start, ${halfway} halfway, ${to} at the end (${(end[kind] / start[kind]).toFixed(2)} x)`;
  };
  return [
    `${streams} streams at once, ${rounds} rounds each way, ${events} events; ${broken} streams broken`,
    "",
    `${"".padEnd(26)}${"direct".padStart(12)}${"gateway".padStart(12)}${"ratio".padStart(10)}`,
    row("first byte, median", "firstByteMs", "median"),
    row("first byte, p99", "firstByteMs", "p99"),
    row("event, median", "eventMs", "median"),
    row("event, p99", "eventMs", "p99"),
    "",
    memory("gateway, resident", "resident"),
    memory("gateway, heap in use", "held"),
    "",
  ].join("\n");
}
