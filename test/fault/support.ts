import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { type EndingCode, endingTexts, type Outcome } from "@mayfly/core";
import { expect } from "vitest";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import type { PullView } from "../fakes/github/views.ts";
import { eventually, processesNaming } from "../support/service.ts";
import type { TestWorld } from "../support/world.ts";

const OWNER = "example-org";
const AUTHOR = "author";
const MAINTAINER = "maintainer";
const LABEL = "codex-review";
/** An emulated machine on a busy host takes up to a minute, and some runs need two. */
export const RUN_MS = 240_000;
/** From the label to the run's record: a webhook and a few questions to GitHub. */
const START_MS = 60_000;

/** A run that was asked for by a label. */
export interface StartedRun {
  readonly id: string;
  readonly pull: PullView;
}

/** What a pull request must show in the end. */
export interface Visible {
  readonly outcome: Outcome;
  readonly code: EndingCode;
  /** What the comment says beside the ending's title. */
  readonly says?: RegExp;
  /** Machines that served it. */
  readonly attempts?: number;
}

/** Opens a pull request in a repository of its own and labels it. The prompt tells the scripted model which case this is. */
export async function startRun(
  world: TestWorld,
  task: { prompt: string; timeout?: string; sandbox?: string },
): Promise<StartedRun> {
  const pull = await labelPull(world, task);
  const id = await eventually(
    async () => (await runOf(world, pull).catch(() => null)) ?? null,
    START_MS,
    async () => world.service().log().slice(-2_000),
  );
  return { id, pull };
}

/** Opens and labels a pull request, and waits for nothing. */
export async function labelPull(
  world: TestWorld,
  { prompt, timeout = "10m", sandbox = "workspace-write" }: { prompt: string; timeout?: string; sandbox?: string },
): Promise<PullView> {
  const { github } = world;
  const file = `---\nsandbox: ${sandbox}\ntimeout: ${timeout}\npublish: [comment, check]\n---\n${prompt}\n`;
  const repo = await github.createRepository({
    owner: OWNER,
    name: `shelf-${randomBytes(4).toString("hex")}`,
    files: { "README.md": "# Shelf\n", [`.github/codex/labels/${LABEL}.md`]: file },
  });
  github.setRole(repo.fullName, AUTHOR, "write");
  github.setRole(repo.fullName, MAINTAINER, "maintain");
  const pull = await github.openPullRequest({
    repo: repo.fullName,
    title: "Say more",
    author: AUTHOR,
    head: { files: { "README.md": "# Shelf\n\nLists things.\n" } },
  });
  await github.addLabel(pull, LABEL, { by: MAINTAINER });
  return pull;
}

/** The id of the one run of a pull request, or null while there is none. Fails when there are two. */
async function runOf(world: TestWorld, { repo, number }: PullView): Promise<string | null> {
  const mine = (await world.control.list()).filter(({ about }) => about.startsWith(`${repo}#${number} `));
  expect(mine.length).toBeLessThanOrEqual(1);
  return mine[0]?.id ?? null;
}

/** Waits until the run has ended and its receipt is stored, and holds it to what the pull request must show. */
export async function expectEnd(world: TestWorld, { id, pull }: StartedRun, visible: Visible): Promise<RunView> {
  const view = await world.control.waitFor(id, ({ run }) => run.phase === "done" && run.archived, RUN_MS);
  const { run } = view;
  const { outcome, code, says = /./, attempts = 1 } = visible;
  if (run.phase !== "done") {
    throw new Error("it has not ended");
  }
  expect({ outcome: run.ending.outcome, code: run.ending.code, detail: run.ending.detail }).toMatchObject({
    outcome,
    code,
  });
  expect(run.epoch).toBe(attempts);
  await expectNoMachineOf(world, view);

  const after = world.github.pullRequest(pull);
  const bodies = after.comments.map(({ body }) => body);
  expect(bodies).toHaveLength(1);
  expect(bodies[0]).toContain(`<!-- mayfly:run=${id} -->`);
  expect(bodies[0]).toContain(endingTexts[code].title);
  expect(bodies[0]).toMatch(says);
  expect(after.checkRuns.map(({ status, conclusion }) => ({ status, conclusion }))).toEqual([
    { status: "completed", conclusion: conclusionOf(outcome) },
  ]);
  expect(after.checkRuns[0]?.output?.summary).toContain(endingTexts[code].title);
  expect(after.labels).not.toContain(LABEL);
  await runOf(world, pull);
  return view;
}

async function expectNoMachineOf(world: TestWorld, { run }: RunView): Promise<void> {
  expect(run.gone).toHaveLength(run.epoch);
  const folders = await readdir(`${world.stateDir}/machines`);
  for (const { machine, evidence } of run.gone) {
    expect(evidence.checks.filter(({ absent }) => !absent)).toEqual([]);
    expect(await processesNaming(machine)).toEqual([]);
    expect(folders).not.toContain(machine);
  }
}

function conclusionOf(outcome: Outcome): string {
  return outcome === "succeeded" ? "success" : outcome === "timed_out" ? "timed_out" : "failure";
}

/** The machine at work for a run, once Codex has asked the model. */
export async function whenAskingTheModel(world: TestWorld, { id }: StartedRun): Promise<string> {
  const { run } = await world.control.waitFor(id, (seen) => seen.run.modelCalls > 0, RUN_MS);
  if (run.phase !== "running") {
    throw new Error(`the run is ${run.phase} already`);
  }
  return run.attempt.machine;
}

/** Ends the machine's QEMU as a crash would. */
export async function killQemu(machine: string): Promise<void> {
  const pids = await processesNaming(machine);
  const names = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")));
  const qemus = pids.filter((_, index) => names[index]?.startsWith("qemu-system"));
  expect(qemus.length).toBeGreaterThan(0);
  qemus.forEach((pid) => process.kill(pid, "SIGKILL"));
}

/** The process of the embedded Redis, as its pid file says. */
export async function redisPid(world: TestWorld): Promise<number> {
  const [pid] = (await readFile(`${world.stateDir}/redis/redis.pid`, "utf8")).split(" ");
  return Number(pid);
}
