import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PullView } from "../fakes/github/views.ts";
import { run, say } from "../fakes/model/script.ts";
import { eventually } from "../support/service.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import {
  ended,
  endingOf,
  expectGoodManners,
  handled,
  label,
  leave,
  MAINTAINER,
  openPull,
  published,
  RUN_MS,
  sent,
} from "./scene.ts";

const TASK = "---\npublish: [comment, check, patch]\n---\nMake the greeting longer.\n";
const APPLIED_MS = 60_000;

let world: TestWorld;

beforeAll(async () => {
  const script = [run("printf 'Much more.\\n' >> README.md && printf 'new\\n' > added.txt"), say("It is longer now.")];
  const environment = { MAYFLY_PUBLICATIONS: "comment,check,patch,commit,draft-pull-request" };
  world = await startWorld({ script, environment });
}, RUN_MS);

afterAll(() => leave(world));

describe("a task that publishes a patch", () => {
  it(
    "offers what Codex changed, and a press of the button makes it one commit on the branch",
    async () => {
      const pull: PullView = await openPull(world, { name: "patched", task: TASK });
      const id = await label(world, pull);
      const view = await ended(world, id, RUN_MS);
      expect(endingOf(view)).toMatchObject({ outcome: "succeeded" });
      const { comment, check } = published(world, pull, id);
      expect(comment.body).toContain("**A patch waits: 2 files, +2 −0 lines.**");
      expect(check).toMatchObject({
        conclusion: "action_required",
        actions: [{ identifier: "apply_patch" }, { identifier: "discard_patch" }, { identifier: "run_again" }],
      });
      const writing = () => world.github.tokens().filter(({ permissions }) => permissions["contents"] === "write");
      expect(writing()).toEqual([]);

      world.github.requestCheckAction(pull.repo, check.id, "apply_patch", { by: MAINTAINER });
      const head = await eventually(
        async () => {
          const { headSha } = world.github.pullRequest(pull);
          return headSha === pull.headSha ? null : headSha;
        },
        APPLIED_MS,
        async () => world.service().log().slice(-2_000),
      );
      const file = async (path: string) => (await world.github.readFile(pull.repo, head, path))?.toString();
      expect(await file("README.md")).toBe("# patched\n\nMore.\nMuch more.\n");
      expect(await file("added.txt")).toBe("new\n");
      expect(writing()).toHaveLength(1);
      expectGoodManners(world);
    },
    2 * RUN_MS,
  );
});

describe("a task that commits by itself", () => {
  it(
    "has what Codex changed on the branch when its run is over, once, and its own push starts and ends nothing",
    async () => {
      const task = "---\npublish: [comment, check, commit]\n---\nMake the greeting longer.\n";
      const pull: PullView = await openPull(world, { name: "committed", task });
      const id = await label(world, pull);
      const view = await ended(world, id, RUN_MS);
      expect(endingOf(view)).toMatchObject({ outcome: "succeeded" });
      const { headSha: head } = world.github.pullRequest(pull);
      expect(head).not.toBe(pull.headSha);
      const added = await world.github.readFile(pull.repo, head, "added.txt");
      expect(added?.toString()).toBe("new\n");
      const { comment, check } = published(world, pull, id);
      expect(comment.body).toContain(
        "**A patch was made: 2 files, +2 −0 lines.** The task commits it to this branch by itself",
      );
      expect(check).toMatchObject({ conclusion: "success", actions: [] });
      expect(check.output.summary).toContain(`**The patch is on the branch** as ${head}, by the task itself, for`);
      const runs = await world.control.list();
      await handled(world, sent(world, "pull_request", "synchronize").guid);
      expect(await world.control.list()).toHaveLength(runs.length);
      expect(world.github.pullRequest(pull).headSha).toBe(head);
      expectGoodManners(world);
    },
    2 * RUN_MS,
  );
});

describe("a task that opens a draft pull request", () => {
  it(
    "has opened one with what Codex changed when its run is over, which starts nothing, and leaves the branch as it is",
    async () => {
      const task = "---\npublish: [comment, check, draft-pull-request]\n---\nMake the greeting longer.\n";
      const pull: PullView = await openPull(world, { name: "drafted", task });
      const id = await label(world, pull);
      const view = await ended(world, id, RUN_MS);
      expect(endingOf(view)).toMatchObject({ outcome: "succeeded" });
      const drafts = world.github.pullRequests(pull.repo).filter(({ number }) => number !== pull.number);
      expect(drafts).toMatchObject([{ draft: true, headRef: `codex/${pull.number}-${id}`, baseRef: pull.headRef }]);
      const [draft = pull] = drafts;
      const added = await world.github.readFile(pull.repo, draft.headSha, "added.txt");
      expect(added?.toString()).toBe("new\n");
      expect(world.github.pullRequest(pull).headSha).toBe(pull.headSha);
      const { check } = published(world, pull, id);
      expect(check).toMatchObject({ conclusion: "success", actions: [{ identifier: "run_again" }] });
      expect(check.output.summary).toContain(`**The patch is [pull request #${draft.number}]`);
      const runs = await world.control.list();
      await handled(world, sent(world, "pull_request", "opened").guid);
      expect(await world.control.list()).toHaveLength(runs.length);
      expect(draft.comments).toEqual([]);
      expectGoodManners(world);
    },
    2 * RUN_MS,
  );
});

describe("a task that publishes a patch, on a pull request from a fork", () => {
  it(
    "suggests beside the lines what Codex changed, gives the whole patch to take over, and pushes nowhere",
    async () => {
      // Long enough ago for a fork's head.
      const from = { fork: "contributor", pushedAt: Date.now() - 10 * 60_000 };
      const pull: PullView = await openPull(world, { name: "forked", task: TASK, ...from });
      const writing = () => world.github.tokens().filter(({ permissions }) => permissions["contents"] === "write");
      const before = writing().length;
      const id = await label(world, pull);
      const view = await ended(world, id, RUN_MS);
      expect(endingOf(view)).toMatchObject({ outcome: "succeeded" });
      const [review, ...more] = world.github.pullRequest(pull).reviews;
      expect(more).toEqual([]);
      expect(review?.comments).toMatchObject([{ path: "README.md", line: 3 }]);
      expect(review?.comments[0]?.body).toMatch(/```suggestion\nMore\.\nMuch more\.\n```$/);
      const { comment, check } = published(world, pull, id);
      expect(comment.body).toContain("stands there as suggestions](");
      expect(check).toMatchObject({ conclusion: "success", actions: [{ identifier: "run_again" }] });
      expect(check.output.text).toContain("+++ b/added.txt\n@@ -0,0 +1,1 @@\n+new\n");
      expect(world.github.pullRequest(pull).headSha).toBe(pull.headSha);
      expect(writing()).toHaveLength(before);
      expectGoodManners(world);
    },
    2 * RUN_MS,
  );
});
