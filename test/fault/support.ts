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
interface StartedRun {
  readonly id: string;
  readonly pull: PullView;
}

/** What a pull request must show in the end. */
interface Visible {
  readonly outcome: Outcome;
  readonly code: EndingCode;
  /** What the comment says beside the ending's title. */
  readonly says?: RegExp;
  /** How many machines may have served it; one if not said. */
  readonly attempts?: readonly number[];
}

/** What is asked for: the prompt tells the scripted model which case it is in. */
interface Asked {
  readonly prompt: string;
  readonly timeout?: string;
  readonly sandbox?: string;
  /** Told the repository's name before anything is asked of the service. */
  readonly onRepository?: (fullName: string) => void;
}

/** Opens a pull request in a repository of its own, labels it, and waits for the run's record. */
export async function startRun(world: TestWorld, asked: Asked): Promise<StartedRun> {
  const pull = await labelPull(world, asked);
  const id = await eventually(
    () => runOf(world, pull),
    START_MS,
    async () => world.service().log().slice(-2_000),
  );
  return { id, pull };
}

async function labelPull(world: TestWorld, asked: Asked): Promise<PullView> {
  const { github } = world;
  const { prompt, timeout = "10m", sandbox = "workspace-write" } = asked;
  const file = `---\nsandbox: ${sandbox}\ntimeout: ${timeout}\npublish: [comment, check]\n---\n${prompt}\n`;
  const repo = await github.createRepository({
    owner: OWNER,
    name: `shelf-${randomBytes(4).toString("hex")}`,
    files: { "README.md": "# Shelf\n", [`.github/codex/labels/${LABEL}.md`]: file },
  });
  asked.onRepository?.(repo.fullName);
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

/** What the service logged of the machines that served a run: why one of them was lost. */
function whatBecameOf(gone: readonly { readonly machine: string }[], log: string): string {
  const ofThem = log.split("\n").filter((line) => gone.some(({ machine }) => line.includes(machine)));
  return `They are gone:\n${JSON.stringify(gone)}\n${ofThem.join("\n").slice(-8_000)}\n`;
}

/** The id of the one run of a pull request, or null while there is none. Fails when there are two. */
async function runOf(world: TestWorld, { repo, number }: PullView): Promise<string | null> {
  const mine = (await world.control.list().catch(() => [])).filter(({ about }) =>
    about.startsWith(`${repo}#${number} `),
  );
  expect(mine.length).toBeLessThanOrEqual(1);
  return mine[0]?.id ?? null;
}

/** Waits until the run has ended and its receipt is stored, and holds it to what the pull request must show. */
export async function expectEnd(
  world: TestWorld,
  { id, pull }: StartedRun,
  allowed: Visible | readonly Visible[],
): Promise<RunView> {
  const view = await world.control.waitFor(id, ({ run }) => run.phase === "done" && run.archived, RUN_MS);
  const { run } = view;
  if (run.phase !== "done") {
    throw new Error("it has not ended");
  }
  const several = "outcome" in allowed ? [allowed] : allowed;
  const visible = several.find(({ code }) => code === run.ending.code) ?? several[0];
  if (visible === undefined) {
    throw new Error("no ending is allowed");
  }
  const { outcome, code, says = /./, attempts = [1] } = visible;
  const { detail } = run.ending;
  // The detail is in it so that a failure says why.
  expect(run.ending).toEqual({ outcome, code, detail });
  if (!attempts.includes(run.epoch)) {
    throw new Error(`${run.epoch} machines served it. ${whatBecameOf(run.gone, world.service().log())}`);
  }
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

/** Waits until the run is in one of these phases. Fails if it has gone beyond them. */
export async function whenIn(
  world: TestWorld,
  { id }: StartedRun,
  phases: readonly RunView["run"]["phase"][],
): Promise<void> {
  await world.control.waitFor(id, ({ run }) => run.phase === "done" || phases.includes(run.phase), RUN_MS);
  expect(phases).toContain((await world.control.view(id)).run.phase);
}

/** A pattern for the stand-in's faults that asks each time, so that a fault can begin and end when the test says. */
export function whenever(isSo: (path: string) => boolean): RegExp {
  const pattern = /^/;
  pattern.test = isSo;
  return pattern;
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
