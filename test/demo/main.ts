import { once } from "node:events";
import { renderDuration, renderSteps, toTerminal, type Receipt } from "@mayfly/core";
import { documentOf } from "../../apps/orchestrator/src/cli/run-local-report.ts";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import { inlineReviewer } from "../fakes/model/inline-reviewer.ts";
import type { PullView } from "../fakes/github/views.ts";
import { eventually, processesNaming } from "../support/service.ts";
import { letReadersLeave } from "../support/stdout.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { MAINTAINER, openDemoPullRequest } from "./open.ts";
import { type DemoOptions, readOptions, usage } from "./options.ts";
import { applyPatch, shownReview, withoutMarker } from "./shown.ts";

/** An emulated machine on a busy host takes half a minute; a real model may think for minutes. */
const RUN_MS = 12 * 60_000;

const began = performance.now();

/** Aborts when the person or the system asks to stop: everything is tidied up first. */
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => stop.abort());
}

/** Words for the person; standard output is kept for the document when one is asked for. */
function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

function tellAt(text: string): void {
  tell(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${text}`);
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const key = process.env["OPENAI_API_KEY"] ?? "";
  const model = {
    name: process.env["MAYFLY_MODEL"] ?? "gpt-5.5",
    url: process.env["OPENAI_BASE_URL"] ?? "https://api.openai.com/v1",
  };
  tell(
    key === ""
      ? "Model: scripted (no OPENAI_API_KEY is set). It drives the real Codex all the same."
      : `Model: ${model.name} at ${model.url}`,
  );
  tellAt("starting the service, with a stand-in for GitHub");
  const world = await startWorld({
    ...(key === "" ? { script: inlineReviewer } : { realModel: { ...model, key } }),
    environment: { MAYFLY_LOG_LEVEL: "warn", MAYFLY_PUBLICATIONS: "comment,check,review,patch", ...passedOn() },
    onLog: (line) => tell(line.startsWith("{") ? `           ${line}` : `          ${line}`),
  });
  try {
    const { addresses } = world.service();
    tellAt(
      `the service is ready as user ${addresses.user}; machines run ${addresses.acceleration === "emulated" ? "emulated: KVM does not work here, so nothing is isolated" : `with ${addresses.acceleration}`}`,
    );
    const stopped = once(stop.signal, "abort").then(() => {
      tellAt("stopping: machines are destroyed first");
      return 130;
    });
    const shown = show(
      world,
      options,
      key === "" ? { name: `${model.name} (scripted)`, url: world.model?.url ?? "" } : model,
    );
    // A stop in the middle leaves this behind, asking a service that is gone.
    shown.catch(() => undefined);
    return await Promise.race([shown, stopped]);
  } finally {
    await world.close();
    tellAt("everything is stopped, nothing is left");
  }
}

async function show(world: TestWorld, options: DemoOptions, model: { name: string; url: string }): Promise<number> {
  const pull = await openDemoPullRequest(world.github, options);
  tellAt(`pull request ${pull.url} is open`);
  await world.github.addLabel(pull, options.label, { by: MAINTAINER });
  tellAt(`${MAINTAINER} added the label ${options.label}`);
  const id = await world.nextRun(0);
  const view = await follow(world, id);
  const after = world.github.pullRequest(pull);
  const comment = after.comments.at(-1)?.body ?? null;
  const review = shownReview(after);
  const machine = view.run.gone.at(-1)?.machine ?? null;
  const isGone = machine !== null && (await processesNaming(machine)).length === 0;
  const receipt = view.receipt as Receipt | null;
  tell(
    `\n--- the comment on ${pull.url} ---\n${toTerminal(withoutMarker(comment ?? "there is none"))}\n--- end of the comment ---\n`,
  );
  tell(`--- the review, beside the lines ---\n${toTerminal(review ?? "there is none")}\n--- end of the review ---\n`);
  tell(`--- the receipt ---\n${toTerminal(JSON.stringify(receipt, null, 2))}\n--- end of the receipt ---\n`);
  const isPublished = comment !== null && comment.includes(id);
  tellAt(isPublished ? "the comment is on the pull request" : "THE COMMENT IS NOT ON THE PULL REQUEST");
  tellAt(isGone ? `the machine ${machine} is gone` : "THE MACHINE IS NOT GONE");
  const applied = await press(world, after);
  if (options.keep) {
    await keep(world, pull);
  }
  if (options.json && view.run.phase === "done") {
    const { publication } = view.run;
    const shown = {
      kind: publication.kind,
      url: publication.url,
      body: comment,
      review,
      applied,
    };
    process.stdout.write(`${JSON.stringify({ ...documentOf(view.run, receipt, model), publication: shown })}\n`);
  }
  const isAnswered = view.run.phase === "done" && view.run.ending.outcome === "succeeded";
  // The scripted model mends the planted bug; what a real one does with other code is its own affair.
  const isWhole = world.model === null || options.repository !== null || (review !== null && applied !== null);
  return isPublished && isGone && isAnswered && isWhole ? 0 : 1;
}

/** The one button of the demo, and what came of it. */
async function press(world: TestWorld, pull: PullView): Promise<string | null> {
  const applied = await applyPatch(world.github, pull, async () => world.service().log().slice(-4_000));
  if (applied === null) {
    tellAt("there is no patch to apply: Codex changed no files");
    return null;
  }
  tellAt(`${MAINTAINER} pressed "Apply patch", which is commit ${applied.commit} on the branch ${pull.headRef}`);
  tell(toTerminal(applied.lines.map((line) => `           ${line}`).join("\n")));
  return applied.commit;
}

/** Tells each step as it happens, until the run has ended and its receipt is stored. */
async function follow(world: TestWorld, id: string): Promise<RunView> {
  tellAt(`run ${id}`);
  let told = 0;
  let waiting = "";
  return eventually(
    async () => {
      const view = await world.control.view(id);
      const { run } = view;
      if (run.phase === "queued" && run.waitingFor !== waiting) {
        waiting = run.waitingFor;
        tellAt(`  waiting for ${waiting}`);
      }
      const steps = renderSteps(run);
      for (const { name, offsetMs } of steps.slice(told)) {
        tellAt(`  ${name} (${renderDuration(offsetMs)} after the label)`);
      }
      told = Math.max(told, steps.length);
      return run.phase === "done" && run.archived ? view : null;
    },
    RUN_MS,
    async () => world.service().log().slice(-4_000),
  );
}

async function keep(world: TestWorld, pull: PullView): Promise<void> {
  const { addresses } = world.service();
  tell(`\nEverything keeps running until Ctrl-C:
  pull request   ${pull.url}
  stand-in       ${world.github.url}
  webhook        ${addresses.webhook}
  readiness      ${addresses.internal}/readyz
  state folder   ${world.stateDir}
  the runs       npx mayfly run list --state ${world.stateDir}\n`);
  await once(stop.signal, "abort");
}

/** Settings of the person's own that hold for the demo's service as well. */
function passedOn(): Record<string, string> {
  const names = [
    "MAYFLY_CACHE_DIR",
    "XDG_CACHE_HOME",
    "MAYFLY_MACHINE_MEMORY_MIB",
    "MAYFLY_MACHINE_CPUS",
    "MAYFLY_LOG_LEVEL",
  ];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name] ?? ""]])),
  );
}

letReadersLeave();
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  tell(`mayfly demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
