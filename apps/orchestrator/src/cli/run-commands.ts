import { randomUUID } from "node:crypto";
import {
  AppError,
  asRootText,
  isOperatorKey,
  isRunId,
  limits,
  OperatorAsk,
  parsePullAddress,
  ranAsRoot,
  type Receipt,
  renderDuration,
  renderReached,
  renderSpend,
  renderSteps,
  takenBackText,
  taskSourceText,
  toTerminal,
} from "@mayfly/core";
import type { Wish } from "../web/ask-run.ts";
import type { RunSummary, RunView, StartedRun } from "../web/control-api.ts";
import { askService } from "./control-client.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly config?: string;
  readonly state?: string;
  readonly json?: boolean;
}

/** `mayfly run list` */
export async function runList(terminal: Terminal, flags: Flags): Promise<number> {
  const { stateDir } = loadSettings(terminal, flags);
  const { runs } = await askService<{ runs: RunSummary[] }>(stateDir, "GET", "/runs");
  if (flags.json === true) {
    terminal.stdout(`${JSON.stringify(runs)}\n`);
    return 0;
  }
  if (runs.length === 0) {
    terminal.stderr("There are no runs yet: add a label such as codex-review to a pull request.\n");
  }
  for (const run of runs) {
    const state = run.outcome ?? (run.waitingFor === null ? run.phase : `${run.phase}, waits for ${run.waitingFor}`);
    terminal.stdout(
      `${run.id}  ${new Date(run.createdAt).toISOString()}  ${toTerminal(`${run.task}  ${run.about}  ${state}`)}\n`,
    );
  }
  return 0;
}

/** `mayfly run view` */
export async function runView(terminal: Terminal, id: string, flags: Flags): Promise<number> {
  const { stateDir } = loadSettings(terminal, flags);
  const view = await askService<RunView>(stateDir, "GET", `/runs/${encodeURIComponent(id)}`);
  if (flags.json === true) {
    terminal.stdout(`${JSON.stringify(view)}\n`);
    return 0;
  }
  const { run, events, receipt } = view;
  const present = run.phase === "queued" ? `queued, waits for ${run.waitingFor}` : run.phase;
  const ending = "ending" in run ? `${run.ending.outcome}: ${run.ending.code} ${run.ending.detail}` : present;
  terminal.stdout(`${run.id}  ${toTerminal(`${run.request.task.name}  ${ending}`)}\n`);
  if (run.request.taskSource !== undefined) {
    terminal.stdout(`  ${toTerminal(`task: ${taskSourceText(run.request.taskSource)}`)}\n`);
  }
  const { origin } = run.request;
  if (origin.kind === "pull_request" && origin.actor.type === "Operator") {
    terminal.stdout(`  started by ${origin.actor.login}\n`);
  }
  if (ranAsRoot(run)) {
    terminal.stdout(`  ${asRootText}\n`);
  }
  const takenBack = takenBackText(run);
  if (takenBack !== null) {
    terminal.stdout(`  ${takenBack}\n`);
  }
  for (const { name, offsetMs } of renderSteps(run)) {
    terminal.stdout(`  ${renderDuration(offsetMs).padStart(8)}  ${name}\n`);
  }
  for (const line of renderReached(run, toTerminal)) {
    terminal.stdout(`  ${line}\n`);
  }
  terminal.stdout(`  ${events.length} events of Codex; --json shows them\n`);
  const spend = (receipt as Receipt | null)?.spend ?? null;
  for (const line of spend === null ? [] : renderSpend(spend, toTerminal)) {
    terminal.stdout(`  ${line}\n`);
  }
  if (receipt !== null) {
    terminal.stdout(`${toTerminal(JSON.stringify(receipt, null, 2))}\n`);
  }
  return 0;
}

/** `mayfly run cancel` */
export async function runCancel(terminal: Terminal, id: string, flags: Flags): Promise<number> {
  const { stateDir } = loadSettings(terminal, flags);
  const answer = await askService<{ run: RunSummary; cancelled: boolean }>(
    stateDir,
    "POST",
    `/runs/${encodeURIComponent(id)}/cancel`,
  );
  if (flags.json === true) {
    terminal.stdout(`${JSON.stringify(answer)}\n`);
  } else {
    const { run, cancelled } = answer;
    terminal.stderr(
      cancelled
        ? `${run.id} is cancelled; its machine is being destroyed.\n`
        : `${run.id} had ended already: ${run.outcome ?? run.phase}.\n`,
    );
  }
  return answer.cancelled ? 0 : 1;
}

interface StartFlags extends Flags {
  readonly pr: string;
  readonly task: string;
  readonly instructions?: string;
  readonly key?: string;
}

/** `mayfly run start` */
export async function runStart(terminal: Terminal, flags: StartFlags): Promise<number> {
  const { instructions = null, key = randomUUID(), task } = flags;
  const pull = parsePullAddress(flags.pr);
  if (pull === null) {
    throw new AppError(
      "INPUT_INVALID",
      `--pr wants the address of a pull request, such as https://github.com/OWNER/NAME/pull/7 or OWNER/NAME#7, not "${flags.pr}"`,
    );
  }
  if (!isOperatorKey(key)) {
    throw new AppError("INPUT_INVALID", `--key wants 1 to ${limits.operatorKeyCharsMax} visible ASCII characters`);
  }
  const ask = OperatorAsk.safeParse({ kind: "start", pull, task, instructions });
  if (!ask.success) {
    const [issue] = ask.error.issues;
    throw new AppError("INPUT_INVALID", `--${issue?.path.join(".") ?? "task"}: ${issue?.message ?? "not understood"}`);
  }
  return tellStarted(terminal, flags, { ask: ask.data, key });
}

/** `mayfly run retry`: once a run, and what comes of it can be had again in its turn. */
export async function runRetry(terminal: Terminal, id: string, flags: Flags): Promise<number> {
  if (!isRunId(id)) {
    throw new AppError("NOT_FOUND", `there is no run ${id}`);
  }
  return tellStarted(terminal, flags, { ask: { kind: "retry", of: id }, key: id });
}

async function tellStarted(terminal: Terminal, flags: Flags, wish: Wish): Promise<number> {
  const { stateDir } = loadSettings(terminal, flags);
  const answer = await askService<StartedRun>(stateDir, "POST", "/runs", {
    body: wish,
    othersMs: limits.operatorAnswerMs,
  });
  const { run, isNew, ending } = answer;
  const isRefused = ending?.outcome === "refused";
  if (flags.json === true) {
    terminal.stdout(`${JSON.stringify(answer)}\n`);
  } else {
    terminal.stdout(`${run.id}\n`);
    const state = ending === null ? run.phase : `${ending.outcome}, ${ending.code}: ${ending.detail}`;
    const how = isNew ? "started by the operator" : "was started before, by the same command";
    terminal.stderr(
      `${toTerminal(`${run.id} ${isRefused ? "is" : `${how};`} ${state}; ${run.task} on ${run.about}`)}\n`,
    );
  }
  return isRefused ? 1 : 0;
}
