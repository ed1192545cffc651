import { asRootText, ranAsRoot, renderDuration, renderSpend, toTerminal, type Receipt, type Run } from "@mayfly/core";
import type { Service } from "../app.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Prints what a local run brought: the answer and the patch as text safe for a terminal, and the proof that the machine
 * is gone; or all of it as one JSON document.
 *
 * @returns The exit code: 0 only if Codex has answered and every machine is gone.
 */
export async function printLocalRun(options: {
  terminal: Terminal;
  service: Service;
  run: Run & { phase: "done" };
  model: { name: string; url: string };
  json: boolean;
}): Promise<number> {
  const { terminal, service, run, model, json } = options;
  const { result } = await service.facts(run);
  const receipt = await service.readReceipt(run.id);
  const answer = result?.final_message.state === "present" ? result.final_message.text : null;
  const patch = result?.patch.state === "present" ? result.patch.text : null;
  const code = run.ending.outcome === "succeeded" && isAllGone(run) ? 0 : 1;
  if (json) {
    terminal.stdout(`${JSON.stringify({ ...documentOf(run, receipt, model), answer, patch })}\n`);
    return code;
  }
  if (run.ending.outcome === "succeeded") {
    terminal.stdout(`${toTerminal(answer ?? "")}\n`);
  } else {
    terminal.stderr(`${run.ending.outcome}: ${toTerminal(run.ending.detail)}\n`);
  }
  if (patch !== null && patch !== "") {
    terminal.stdout(`\n${toTerminal(patch)}`);
  }
  terminal.stderr(`\n${proofOf(run, receipt)}\n`);
  return code;
}

/** The document of a run, as `npm run demo -- --json` prints it too. */
export function documentOf(
  run: Run & { phase: "done" },
  receipt: Receipt | null,
  model: { name: string; url: string },
): object {
  const last = receipt?.machines.at(-1) ?? null;
  return {
    run: run.id,
    outcome: run.ending.outcome,
    phases: receipt?.timings.phasesMs ?? {},
    machine: {
      id: last?.machine ?? null,
      provider: last?.provider ?? null,
      acceleration: last?.acceleration ?? null,
      gone: isAllGone(run),
    },
    receipt,
    model,
  };
}

/** Every machine that served the run is proved absent. */
function isAllGone(run: Run): boolean {
  return (
    run.gone.length === run.epoch && run.gone.every(({ evidence }) => evidence.checks.every(({ absent }) => absent))
  );
}

function proofOf(run: Run & { phase: "done" }, receipt: Receipt | null): string {
  const lines = (receipt?.machines ?? []).flatMap(({ machine, evidence, isolation }) => [
    `${machine} is gone (${isolation}):`,
    ...evidence.map(({ what, absent }) => `  ${absent ? "absent" : "STILL THERE"}: ${what}`),
  ]);
  const took = renderDuration(run.endedAt - run.createdAt);
  const rights = ranAsRoot(run) ? [asRootText] : [];
  const spend = receipt?.spend ? renderSpend(receipt.spend, toTerminal) : [];
  return [`${run.id}: ${run.ending.outcome} in ${took}`, ...rights, ...spend, ...lines].join("\n");
}
