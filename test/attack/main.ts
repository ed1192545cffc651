import { fileURLToPath } from "node:url";
import { findLeftovers, newSince } from "../support/leftovers.ts";
import { letReadersLeave } from "../support/stdout.ts";
import { createContext } from "./context.ts";
import { defences } from "./defences.ts";
import { type Mutant, tryMutants } from "./mutants.ts";
import { type AttackOptions, readOptions, usage } from "./options.ts";
import { rows } from "./registry.ts";
import { renderTable } from "./table.ts";
import { type Tried, tryRow } from "./try-row.ts";

/** `npm run attack`: what Mayfly claims to withstand, tried. */
const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
/** What a shell reports of a program that Ctrl-C has ended. */
const INTERRUPTED = 130;

/** Aborts when the person or the system asks to stop: everything is tidied up first. */
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => stop.abort());
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(
    args,
    rows.map(({ id }) => id),
  );
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const before = await findLeftovers();
  try {
    const tried = await tryRows(options);
    process.stdout.write(renderTable(tried));
    const mutants = options.mutants ? await tryWithout(options) : null;
    const killRate = mutants === null || mutants.length === 0 ? null : rateOf(mutants);
    process.stdout.write(`\n${summary(tried, mutants)}\n`);
    const left = newSince(before, await findLeftovers());
    left.forEach((one) => tell(`left behind: ${one}`));
    if (options.json) {
      const shown = tried.map(({ id, held, why, cases, control, crashed }) => ({
        id,
        held,
        why,
        cases,
        control,
        crashed,
      }));
      process.stdout.write(`${JSON.stringify({ rows: shown, killRate })}\n`);
    }
    return tried.some(({ held }) => held === false) || (killRate ?? 1) < 1 || left.length > 0 ? 1 : 0;
  } catch (error) {
    if (stop.signal.aborted) {
      tell("stopped; everything is tidied up");
      // The row that was under way has lost what it stood on, and would wait for it.
      process.exit(INTERRUPTED);
    }
    throw error;
  }
}

async function tryRows({ only, seed, short }: AttackOptions): Promise<Tried[]> {
  const { context, close } = createContext({ seed, isShort: short, only, signal: stop.signal, say: tell });
  const tried: Tried[] = [];
  try {
    for (const row of rows.filter(({ id }) => only?.includes(id) ?? true)) {
      tell(`${row.id} ${row.attack}`);
      const one = await tryRow(row, context);
      tried.push(one);
      tell(
        `${row.id} ${outcome(one)} (${one.cases.toLocaleString("en-US")} ${one.unit}, ${one.seconds.toFixed(1)} s): ${one.why}`,
      );
    }
  } finally {
    await close();
  }
  return tried;
}

function tryWithout({ only, seed }: AttackOptions): Promise<Mutant[]> {
  const wanted = defences.filter(({ row }) => only?.includes(row) ?? true);
  tell(`switching off ${wanted.length} defences, one at a time, in a copy of the source`);
  const needsHost = (id: string) => ["service", "machine"].includes(rows.find((row) => row.id === id)?.needs ?? "");
  return tryMutants({ root, defences: wanted, needsHost, seed, signal: stop.signal, say: tell });
}

function outcome({ held }: Tried): string {
  return held === null ? "not tried" : held ? "held" : "DID NOT HOLD";
}

function rateOf(mutants: readonly Mutant[]): number {
  return mutants.filter(({ fate }) => fate === "killed").length / mutants.length;
}

function summary(tried: readonly Tried[], mutants: readonly Mutant[] | null): string {
  const count = (held: boolean | null) => tried.filter((one) => one.held === held).length;
  const cases = tried.reduce((sum, one) => sum + one.cases, 0);
  const lines = [
    `${count(true)} rows held, ${count(false)} did not, ${count(null)} were not tried here; ${cases.toLocaleString("en-US")} cases`,
  ];
  if (mutants !== null) {
    const killed = mutants.filter(({ fate }) => fate === "killed").length;
    lines.push(`${killed} of ${mutants.length} missing defences were noticed`);
    for (const { row, name, fate, why } of mutants.filter((one) => one.fate !== "killed")) {
      lines.push(`  ${row} without ${name}: ${fate === "survived" ? "NOT NOTICED" : "could not be tried"}: ${why}`);
    }
  }
  return lines.join("\n");
}

letReadersLeave();
process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  tell(`attack: ${error instanceof Error ? error.message : String(error)}`);
  return 1;
});
