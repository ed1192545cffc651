import type { AttackContext, Row, Verdict } from "./row.ts";

/** What became of one row. */
export interface Tried extends Verdict {
  readonly id: string;
  readonly attack: string;
  readonly control: string;
  /** What was counted as a case. */
  readonly unit: string;
  /** It threw, or did not end: nothing can be said of the attack itself. */
  readonly crashed: boolean;
  readonly seconds: number;
}

/** No row takes a quarter of this on a host of two processors. */
const ROW_MS = 30 * 60_000;

/** Runs one row. Never throws; rejects only when the driver is told to stop. */
export async function tryRow(row: Row, context: AttackContext): Promise<Tried> {
  const began = performance.now();
  const { id, attack, control, unit = "looks" } = row;
  let crashed = false;
  const verdict = await bounded(row, context).catch((error: unknown): Verdict => {
    context.signal.throwIfAborted();
    crashed = true;
    return { held: false, why: `crashed: ${told(error)}`, cases: 0 };
  });
  return { id, attack, control, unit, ...verdict, crashed, seconds: (performance.now() - began) / 1_000 };
}

async function bounded(row: Row, context: AttackContext): Promise<Verdict> {
  const { signal } = context;
  signal.throwIfAborted();
  const stop = AbortSignal.any([signal, AbortSignal.timeout(ROW_MS)]);
  return new Promise<Verdict>((resolve, reject) => {
    stop.addEventListener("abort", () => reject(new Error("it did not end in time")), { once: true });
    row.run(context).then(resolve, reject);
  });
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message).split("\n").slice(0, 4).join(" | ") : String(error);
}
