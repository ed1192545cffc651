import { afterAll, beforeAll, expect, it } from "vitest";
import { say } from "../fakes/model/script.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { ended, endingOf, handled, LABEL, leave, mayfly, openPull, published, RUN_MS, sent } from "./scene.ts";

const SAID = "The lock is taken twice.";
let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({
    scripts: [{ when: /Look at the locks\./, script: [say(SAID)] }],
    environment: { MAYFLY_MACHINES_MAX: "1" },
  });
});

afterAll(() => leave(world));

it("a run that the operator starts has a machine of its own, and comment and receipt say who started it", async () => {
  const pull = await openPull(world, { name: "operated", task: "Say what is wrong.\n" });
  await handled(world, sent(world, "pull_request", "opened").guid);
  const state = ["--state", world.stateDir];
  const asked = ["run", "start", "--pr", `${pull.repo}#${pull.number}`, "--task", LABEL, "--key", "job-1"];
  const started = await mayfly([...asked, "--instructions", "Look at the locks.", ...state]);
  expect(started).toMatchObject({ code: 0, stderr: expect.stringContaining("started by the operator") });
  const id = started.stdout.trim();
  const view = await ended(world, id, RUN_MS);
  expect(endingOf(view)).toMatchObject({ outcome: "succeeded" });
  expect(view.receipt).toMatchObject({
    trigger: { actor: { id: 0, login: "the operator", type: "Operator" }, role: "operator", head: pull.headSha },
  });
  const { comment } = published(world, pull, id);
  expect(comment.body).toContain(SAID);
  expect(comment.body).toContain(`Started by the operator at \`${pull.headSha}\``);
  expect((await mayfly(["receipt", "verify", id, ...state])).stdout).toContain("started by the operator");
  expect((await mayfly(["run", "view", id, ...state])).stdout).toContain("started by the operator");
});

it("a task that is not there starts nothing, and the command says which are", async () => {
  const pull = await openPull(world, { name: "no-such-task", task: "Say what is wrong.\n" });
  await handled(world, sent(world, "pull_request", "opened").guid);
  const typed = await mayfly([
    "run",
    "start",
    "--pr",
    `${pull.repo}#${pull.number}`,
    "--task",
    "codex-revue",
    "--state",
    world.stateDir,
  ]);
  expect(typed).toMatchObject({ code: 1, stdout: "" });
  expect(typed.stderr).toContain(`no task "codex-revue"; did you mean ${LABEL}?`);
  expect(world.github.pullRequest(pull).comments).toEqual([]);
});
