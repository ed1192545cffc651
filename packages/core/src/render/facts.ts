import type { Run } from "../run.ts";
import { taskSourceText } from "../run-request.ts";
import type { RuleCounts } from "../safe-output/rules.ts";
import { machinesOf, type EndedRun, type ReceiptMachine, type RunFacts } from "./receipt.ts";
import { renderDuration } from "./duration.ts";
import { renderReached } from "./reached.ts";
import { renderRemoved } from "./removed.ts";
import { renderSpend } from "./spend.ts";
import { renderSteps } from "./steps.ts";
import { codeSpan, count, isoTime } from "./text.ts";

/** Checks of the gate that are shown one by one; the receipt has all. */
const GATE_CHECKS_SHOWN = 24;
const EVIDENCE_SHOWN = 24;
/** A machine per attempt is what there can be. */
const MACHINES_SHOWN = 4;
const DIGEST_CHARS = 19;

/**
 * The facts of an ended run, folded: our own words, everything from elsewhere in code spans, each bounded. Nothing that
 * came from the machine is among them when its result was withheld.
 *
 * @param removed What was taken out of the answer or made harmless.
 */
export function renderFacts(
  run: EndedRun,
  facts: RunFacts & { readonly receiptUrl?: string | null },
  removed: RuleCounts,
): string {
  return [
    "<details>",
    "<summary>How this was run</summary>",
    "",
    ...taskLines(run),
    ...resultLines(run, facts),
    ...removedLine(removed),
    ...renderReached(run, codeSpan).map((line) => `- ${line}`),
    ...gateLines(run),
    ...machinesOf(run, facts.machines).slice(0, MACHINES_SHOWN).flatMap(machineLines),
    ...stepLines(run),
    ...(facts.receiptUrl ? [`- Receipt: ${codeSpan(facts.receiptUrl)}`] : []),
    "",
    "</details>",
  ].join("\n");
}

function taskLines({ id, request: { task, origin, taskSource } }: Run): string[] {
  return [
    `- Run: ${codeSpan(id)}`,
    `- Task: ${codeSpan(task.name)}, model ${codeSpan(task.model)}, effort ${codeSpan(task.effort ?? "default")}`,
    ...(taskSource === undefined ? [] : [`- Task file: ${codeSpan(taskSourceText(taskSource))}`]),
    `- Sandbox: ${codeSpan(task.sandbox)}, strategy ${codeSpan(task.safetyStrategy)}`,
    origin.kind === "pull_request"
      ? origin.actor.type === "Operator"
        ? `- Started by the operator at ${codeSpan(origin.head)}`
        : `- Asked for by ${codeSpan(origin.actor.login)} (${codeSpan(origin.role)}) at ${codeSpan(origin.head)}`
      : `- Asked for by ${codeSpan(origin.user)} on the command line`,
  ];
}

function removedLine(removed: RuleCounts): string[] {
  const text = renderRemoved(removed);
  return text === "" ? [] : [`- Answer: ${text}`];
}

function isWithheld({ ending }: EndedRun): boolean {
  return ending.code === "answer_withheld";
}

function resultLines(run: EndedRun, { result, spend }: RunFacts): string[] {
  const usage = result?.usage ?? null;
  return [
    ...(spend === null
      ? [`- Attempts: ${run.epoch}, model calls: ${count(run.modelCalls)}`]
      : [`- Attempts: ${run.epoch}`, ...renderSpend(spend, codeSpan).map((line) => `- ${line}`)]),
    ...(usage === null
      ? []
      : [
          `- Tokens as Codex counted them: ${count(usage.input_tokens)} in (${count(usage.cached_input_tokens)} cached), ` +
            `${count(usage.output_tokens)} out (${count(usage.reasoning_output_tokens)} for reasoning)`,
        ]),
    ...(result === null || isWithheld(run) ? [] : [`- Codex CLI: ${codeSpan(result.codex.version)}`]),
    ...(run.resultDigest === null ? [] : [`- Result: ${codeSpan(run.resultDigest)}`]),
  ];
}

function gateLines(run: EndedRun): string[] {
  const gate = run.attempt?.gate ?? null;
  if (gate === null) {
    return [];
  }
  const passed = gate.checks.filter(({ ok }) => ok).length;
  const passedLine = `- Start gate: ${passed} of ${gate.checks.length} checks passed`;
  if (isWithheld(run)) {
    return [passedLine];
  }
  return [
    passedLine,
    ...(gate.not_applicable === undefined
      ? []
      : [`  - not asked of root: ${gate.not_applicable.slice(0, GATE_CHECKS_SHOWN).map(codeSpan).join(", ")}`]),
    ...gate.checks
      .slice(0, GATE_CHECKS_SHOWN)
      .map(({ name, ok, seen }) => `  - ${codeSpan(name)}: ${ok ? "ok" : "failed"}, seen: ${codeSpan(seen)}`),
  ];
}

function machineLines(one: ReceiptMachine): string[] {
  const image = one.image === null ? "unknown" : codeSpan(one.image.slice(0, DIGEST_CHARS));
  return [
    `- Machine of attempt ${one.epoch}: ${codeSpan(one.machine)}, provider ${codeSpan(one.provider ?? "unknown")}, ` +
      `${accelerationOf(one)}, image ${image}`,
    `  - gone at ${one.goneAt}`,
    ...one.evidence
      .slice(0, EVIDENCE_SHOWN)
      .map(({ what, absent }) => `  - ${codeSpan(what)}: ${absent ? "absent" : "still there"}`),
  ];
}

function accelerationOf({ acceleration, isolation }: ReceiptMachine): string {
  return acceleration === null || acceleration === "emulated" ? isolation : acceleration;
}

function stepLines(run: Run): string[] {
  const happened = renderSteps(run);
  const first = happened[0];
  return first === undefined
    ? []
    : [
        `- Steps from ${isoTime(first.at)}:`,
        ...happened.map(({ name, offsetMs }) => `  - ${name}: +${renderDuration(offsetMs)}`),
      ];
}
