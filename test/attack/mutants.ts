import { spawn } from "node:child_process";
import { join } from "node:path";
import { z } from "zod";
import type { Defence } from "./defences.ts";
import { CONTROL_IDLE } from "./tally.ts";
import { copyTree } from "./tree-copy.ts";

/** A defence that was switched off, and whether its row noticed. */
export interface Mutant {
  readonly row: string;
  readonly name: string;
  /** `broken`: the copy did not run, so nothing can be said; it does not count as noticed. */
  readonly fate: "killed" | "survived" | "broken";
  readonly why: string;
}

/** A short row takes seconds, one with a machine some minutes. */
const CHILD_MS = 20 * 60_000;
/** From the request to stop to the end of all that the child has started. */
const STOP_MS = 90_000;

const Report = z.object({
  rows: z.array(
    z.object({ id: z.string(), held: z.boolean().nullable(), why: z.string(), crashed: z.boolean().default(false) }),
  ),
});
type ReportedRow = z.infer<typeof Report>["rows"][number];

export interface MutantOptions {
  readonly root: string;
  readonly defences: readonly Defence[];
  /** Whether that row has the host to itself: it boots machines, or starts the whole service. */
  readonly needsHost: (row: string) => boolean;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** A small host has two processors, and rows without machines use one each. */
const LANES = 2;

/**
 * Switches off one defence after the other in a copy of the source and runs the short form of its row there. The copy
 * is tried as it is first: a row that does not hold there says nothing about a defence. Rows that leave room for others
 * are tried two at a time, each lane in a copy of its own; then the rest, one at a time.
 *
 * @returns One for each defence, in their order.
 */
export async function tryMutants(options: MutantOptions): Promise<Mutant[]> {
  const { defences, needsHost } = options;
  const small = [...new Set(defences.map(({ row }) => row))].filter((row) => !needsHost(row));
  const lanes = Array.from({ length: LANES }, (_, lane) => small.filter((_row, index) => index % LANES === lane));
  const inLanes = await Promise.allSettled(
    lanes.map((rows) => tryInCopy(options, (defence) => rows.includes(defence.row))),
  );
  const failed = inLanes.find((lane) => lane.status === "rejected");
  if (failed !== undefined) {
    throw failed.reason;
  }
  const alone = await tryInCopy(options, ({ row }) => needsHost(row));
  const tried = [...inLanes.flatMap((lane) => (lane.status === "fulfilled" ? lane.value : [])), ...alone];
  return defences.flatMap(({ row, name }) => tried.filter((one) => one.row === row && one.name === name));
}

async function tryInCopy(options: MutantOptions, isOurs: (defence: Defence) => boolean): Promise<Mutant[]> {
  const { root, seed, signal, say } = options;
  const defences = options.defences.filter(isOurs);
  if (defences.length === 0) {
    return [];
  }
  const copy = await copyTree(root);
  try {
    const sound = await runRows(copy.root, [...new Set(defences.map(({ row }) => row))], seed, signal);
    const mutants: Mutant[] = [];
    for (const { row, name, file, find, replace } of defences) {
      signal.throwIfAborted();
      const before = sound.find(({ id }) => id === row);
      if (before?.held !== true) {
        mutants.push({
          row,
          name,
          fate: "broken",
          why: `the row does not hold in a copy: ${before?.why ?? "no report"}`,
        });
      } else {
        const restore = await copy.patch(file, find, replace);
        const [after] = await runRows(copy.root, [row], seed, signal);
        await restore();
        mutants.push({ row, name, ...judge(after) });
      }
      const last = mutants.at(-1);
      say(`${row} without ${name}: ${last?.fate === "killed" ? "noticed" : (last?.fate ?? "")} (${last?.why ?? ""})`);
    }
    return mutants;
  } finally {
    await copy.remove();
  }
}

function judge(after: ReportedRow | undefined): Pick<Mutant, "fate" | "why"> {
  if (after === undefined) {
    return { fate: "broken", why: "it ended without a report" };
  }
  const { held, why, crashed } = after;
  if (held !== false) {
    return { fate: "survived", why: "the row has held all the same" };
  }
  return { fate: crashed || why.startsWith(CONTROL_IDLE) ? "broken" : "killed", why };
}

/** The rows' own report; empty if the child ended without one. */
async function runRows(
  root: string,
  ids: readonly string[],
  seed: number,
  signal: AbortSignal,
): Promise<ReportedRow[]> {
  const args = ["--only", ids.join(","), "--seed", String(seed), "--short", "--json", "--no-mutants"];
  const child = spawn(process.execPath, [join(root, "test/attack/main.ts"), ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "ignore"],
    // Not in our group: Ctrl-C reaches it through us, once.
    detached: true,
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const stop = AbortSignal.any([signal, AbortSignal.timeout(CHILD_MS)]);
  let late: NodeJS.Timeout | null = null;
  const end = () => {
    child.kill("SIGTERM");
    late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  };
  stop.addEventListener("abort", end, { once: true });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve());
  });
  stop.removeEventListener("abort", end);
  clearTimeout(late ?? undefined);
  signal.throwIfAborted();
  const parsed = Report.safeParse(parse(text.trimEnd().split("\n").at(-1) ?? ""));
  return parsed.success ? parsed.data.rows : [];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
