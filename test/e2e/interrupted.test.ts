import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import { say, stall } from "../fakes/model/script.ts";
import type { Delivery } from "../fakes/github/world.ts";
import type { PullView } from "../fakes/github/views.ts";
import { processesNaming } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import {
  deliveries,
  ended,
  endingOf,
  handled,
  LABEL,
  leave,
  label,
  MAINTAINER,
  mayfly,
  openPull,
  published,
  RUN_MS,
  sent,
} from "./scene.ts";

/** The model begins to answer this, and never ends. */
const WAIT = "Wait until somebody stops you.\n";
const ANSWER = "Answer at once.\n";
const SAID = "Words that a person without write access asked for.";

let world: TestWorld;
/** Happens at the very moment at which the model answers. */
let whenAnswering: () => void = () => undefined;

beforeAll(async () => {
  world = await startWorld({
    scripts: [
      { when: /Wait until somebody stops you\./, script: [stall(), say("It is too late for this.")] },
      {
        when: /Answer at once\./,
        script: () => {
          whenAnswering();
          return say(SAID);
        },
      },
    ],
    // One at a time: two emulated ones fill a small host.
    environment: { MAYFLY_MACHINES_MAX: "1" },
  });
});

afterAll(() => leave(world));

describe("a run at work", () => {
  it("is superseded when commits are pushed, and the pull request says so", async () => {
    const { pull, id } = await atWork("pushed");
    const head = await world.github.push(pull, { files: { "README.md": "# Pushed\n" } });
    const { comment, check } = await endsAs(pull, id, { outcome: "superseded", code: "pushed" });
    expect(comment).toContain("Superseded: new commits were pushed");
    expect(comment).toContain(`the head is now ${head}`);
    expect(check).toMatchObject({ headSha: pull.headSha, conclusion: "cancelled" });
    expect(await handled(world, sent(world, "pull_request", "synchronize").guid)).toMatchObject({
      state: "applied",
      reason: "pushed: runs ended: 1; no task file changes",
    });
  });

  it("is cancelled when the pull request is closed, and the pull request says by whom", async () => {
    const { pull, id } = await atWork("closed");
    await world.github.closePullRequest(pull, { by: MAINTAINER });
    const { comment, check } = await endsAs(pull, id, { outcome: "cancelled", code: "closed" });
    expect(comment).toContain("Cancelled: the pull request was closed");
    expect(comment).toContain(`${MAINTAINER} closed the pull request`);
    expect(check).toMatchObject({ conclusion: "cancelled" });
  });

  it("is cancelled when a person removes the label, and the pull request says who", async () => {
    const { pull, id } = await atWork("unlabelled");
    await world.github.removeLabel(pull, LABEL, { by: MAINTAINER });
    const { comment, check } = await endsAs(pull, id, { outcome: "cancelled", code: "label_removed" });
    expect(comment).toContain(`${MAINTAINER} removed ${LABEL}`);
    expect(check).toMatchObject({ conclusion: "cancelled" });
  });

  it("gives way to a newer labelling, which no older event that comes late can touch, and mayfly run cancel ends", async () => {
    const { pull, id: first } = await atWork("newer");
    const addedFirst = sent(world, "pull_request", "labeled");
    world.github.loseNextDeliveries();
    await world.github.removeLabel(pull, LABEL, { by: MAINTAINER });
    const removed = sent(world, "pull_request", "unlabeled");
    const second = await label(world, pull);
    const before = await ended(world, first, RUN_MS);
    expect(endingOf(before)).toEqual({
      outcome: "superseded",
      code: "newer_run",
      detail: `the newer run is ${second}`,
    });
    await working(second);
    expect(world.github.pullRequest(pull).labels).toContain(LABEL);

    expect(await comesLate(removed)).toMatchObject({ state: "applied", reason: "label_removed: runs ended: 0" });
    expect(await comesLate(addedFirst, "another-id")).toMatchObject({ state: "ignored" });
    expect((await world.control.view(second)).run.phase).toBe("running");

    const cancel = await mayfly(["run", "cancel", second, "--state", world.stateDir]);
    expect(cancel).toEqual({
      code: 0,
      stdout: "",
      stderr: `${second} is cancelled; its machine is being destroyed.\n`,
    });
    const { comment, check } = await endsAs(pull, second, { outcome: "cancelled", code: "operator" });
    expect(comment).toContain("Cancelled by an operator");
    expect(check).toMatchObject({ conclusion: "cancelled" });
    const checks = world.github.checkRuns(pull.repo).map(({ externalId, conclusion }) => [externalId, conclusion]);
    expect(checks).toEqual([
      [first, "cancelled"],
      [second, "cancelled"],
    ]);
  });

  it("is not published when the person who asked has lost write access meanwhile", async () => {
    whenAnswering = () => world.github.setRole("example-org/demoted", MAINTAINER, "read");
    const pull = await openPull(world, { name: "demoted", task: ANSWER });
    const id = await label(world, pull);
    const { comment, check, view } = await endsAs(pull, id, { outcome: "refused", code: "actor_lacks_write" });
    expect(view.receipt).toMatchObject({ agent: { exitCode: 0 }, resultDigest: expect.any(String) as string });
    expect(comment).toContain(`${MAINTAINER} now has the role read in this repository`);
    expect(JSON.stringify([comment, check])).not.toContain(SAID);
    expect(check).toMatchObject({ conclusion: "skipped" });
  });
});

describe("a run whose App is taken away", () => {
  it("is cancelled, its machine destroyed, and its record says why though nothing can be published", async () => {
    const { pull, id } = await atWork("uninstalled", "other-org");
    world.github.uninstall("other-org");
    const view = await ended(world, id, RUN_MS);
    expect(endingOf(view)).toEqual({
      outcome: "cancelled",
      code: "installation_gone",
      detail: "the App was uninstalled",
    });
    await expectGone(view);
    expect(view.run).toMatchObject({ publication: { kind: "none" } });
    const bodies = world.github.pullRequest(pull).comments.map(({ body }) => body);
    // Its progress stands as it was last shown, which is at most so often: nothing of how the run ended.
    expect(bodies).toEqual([expect.stringMatching(/^### (?:Queued|Running): /m)]);
    expect(await handled(world, sent(world, "installation", "deleted").guid)).toMatchObject({
      state: "applied",
      reason: "the App was uninstalled: runs ended: 1",
    });
  });
});

describe("a run whose pull request GitHub does not show any more", () => {
  it("ends with what GitHub said, and does not hold up the next", async () => {
    const hidden = await openPull(world, { name: "hidden", task: WAIT });
    const pathPattern = /^\/repos\/example-org\/hidden\/pulls\/1$/;
    world.github.failNext({ method: "GET", pathPattern, status: 404 });
    const first = await label(world, hidden);
    const { pull, id } = await atWork("next");
    const { comment, check } = await endsAs(hidden, first, { outcome: "failed", code: "source_failed" });
    expect(comment).toContain("the pull request could not be looked at again: GitHub refused with 404");
    expect(check).toMatchObject({ conclusion: "failure" });
    await world.github.closePullRequest(pull);
    await endsAs(pull, id, { outcome: "cancelled", code: "closed" });
  });
});

describe("a labelling whose delivery comes late", () => {
  it("is ignored when the label was added again since, and says which run that started", async () => {
    const pull = await openPull(world, { name: "late", task: WAIT });
    world.github.loseNextDeliveries();
    await world.github.addLabel(pull, LABEL, { by: MAINTAINER });
    const lost = sent(world, "pull_request", "labeled");
    await world.github.removeLabel(pull, LABEL, { by: MAINTAINER });
    const id = await label(world, pull);
    expect(await comesLate(lost)).toMatchObject({
      state: "ignored",
      reason: `it was asked for again since, which started run ${id}`,
      run: null,
    });
    expect((await world.control.view(id)).run.phase).toMatch(/^(queued|running)$/);
    await world.control.cancel(id);
    await endsAs(pull, id, { outcome: "cancelled", code: "operator" });
  });
});

/** A run whose model has begun to answer. */
async function atWork(name: string, owner?: string): Promise<{ pull: PullView; id: string }> {
  const pull = await openPull(world, { name, task: WAIT, ...(owner === undefined ? {} : { owner }) });
  const id = await label(world, pull);
  await working(id);
  return { pull, id };
}

async function working(id: string): Promise<void> {
  await world.control.waitFor(id, ({ run }) => run.phase === "running" && run.modelCalls > 0, RUN_MS);
}

/** The run ends so, every machine of it is gone before a word of it is out, and it says so once. */
async function endsAs(pull: PullView, id: string, expected: { outcome: string; code: string }) {
  const view = await ended(world, id, RUN_MS);
  expect(endingOf(view)).toMatchObject(expected);
  await expectGone(view);
  const { comment, check } = published(world, pull, id);
  return { comment: comment.body, check, view };
}

async function expectGone({ run, receipt }: RunView): Promise<void> {
  expect(run.gone).toHaveLength(run.epoch);
  for (const { machine, evidence } of run.gone) {
    expect(evidence.checks.filter(({ absent }) => !absent)).toEqual([]);
    expect(await processesNaming(machine)).toEqual([]);
  }
  expect(receipt).toMatchObject({ run: run.id, machines: run.gone.map(({ machine }) => ({ machine })) });
  const { machine_gone: gone, published: out = Infinity } = run.times;
  expect(gone === undefined).toBe(run.epoch === 0);
  expect(out).toBeGreaterThanOrEqual(gone ?? 0);
}

/** GitHub sends a delivery (again), under its own id or another one. */
async function comesLate(delivery: Delivery, guid = delivery.guid) {
  const { event, requestBody: body } = delivery;
  expect((await world.github.deliver({ event, guid, body })).statusCode).toBe(202);
  expect((await deliveries(world)).some(({ id }) => id === guid)).toBe(true);
  return handled(world, guid);
}
