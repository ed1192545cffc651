import type { Run } from "../run.ts";
import { machinesOf, type EndedRun, type ReceiptMachine, type RunFacts } from "./receipt.ts";
import { renderDuration } from "./duration.ts";
import { renderSteps } from "./steps.ts";
import { codeSpan, count, isoTime } from "./text.ts";

/** Checks of the gate that are shown one by one; the receipt has all. */
const GATE_CHECKS_SHOWN = 24;
const EVIDENCE_SHOWN = 24;
/** A machine per attempt is what there can be. */
const MACHINES_SHOWN = 4;
const DIGEST_CHARS = 19;

/** The facts of an ended run, folded: our own words, everything from elsewhere in code spans, each bounded. */
export function renderFacts(run: EndedRun, facts: RunFacts & { readonly receiptUrl?: string | null }): string {
  return [
    "<details>",
    "<summary>How this was run</summary>",
    "",
    ...taskLines(run),
    ...resultLines(run, facts),
    ...gateLines(run),
    ...machinesOf(run, facts.machines).slice(0, MACHINES_SHOWN).flatMap(machineLines),
    ...stepLines(run),
    ...(facts.receiptUrl ? [`- Receipt: ${codeSpan(facts.receiptUrl)}`] : []),
    "",
    "</details>",
  ].join("\n");
}

function taskLines({ id, request: { task, origin } }: Run): string[] {
  return [
    `- Run: ${codeSpan(id)}`,
    `- Task: ${codeSpan(task.name)}, model ${codeSpan(task.model)}, effort ${codeSpan(task.effort ?? "default")}`,
    `- Sandbox: ${codeSpan(task.sandbox)}, strategy ${codeSpan(task.safetyStrategy)}`,
    origin.kind === "pull_request"
      ? `- Asked for by ${codeSpan(origin.actor.login)} (${codeSpan(origin.role)}) at ${codeSpan(origin.head)}`
      : `- Asked for by ${codeSpan(origin.user)} on the command line`,
  ];
}

function resultLines(run: EndedRun, { result }: RunFacts): string[] {
  const usage = result?.usage ?? null;
  return [
    `- Attempts: ${run.epoch}, model calls: ${count(run.modelCalls)}`,
    ...(usage === null
      ? []
      : [
          `- Tokens: ${count(usage.input_tokens)} in (${count(usage.cached_input_tokens)} cached), ` +
            `${count(usage.output_tokens)} out (${count(usage.reasoning_output_tokens)} for reasoning)`,
        ]),
    ...(result === null ? [] : [`- Codex CLI: ${codeSpan(result.codex.version)}`]),
    ...(run.resultDigest === null ? [] : [`- Result: ${codeSpan(run.resultDigest)}`]),
  ];
}

function gateLines({ attempt }: EndedRun): string[] {
  const gate = attempt?.gate ?? null;
  if (gate === null) {
    return [];
  }
  const passed = gate.checks.filter(({ ok }) => ok).length;
  return [
    `- Start gate: ${passed} of ${gate.checks.length} checks passed`,
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
