import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, mint } from "../fakes/github/testing.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import {
  ended,
  endingOf,
  handled,
  LABEL,
  leave,
  label,
  MAINTAINER,
  openPull,
  type PullOptions,
  published,
  sent,
} from "./scene.ts";

const REVIEW = "Review what this pull request changes.\n";
const PATH = `.github/codex/labels/${LABEL}.md`;
/** More than the time a fork's head must have been in place. */
const LONG_AGO_MS = 10 * 60_000;

let world: TestWorld;

beforeAll(async () => {
  world = await startWorld({ environment: { MAYFLY_MACHINES_MAX: "1" } });
});

afterAll(() => leave(world));

describe("a label that may not start a run", () => {
  it.each(["none", "read", "triage"] as const)(
    "set by a person with the role %s is refused, and the pull request says who has what",
    async (role) => {
      const { comment, check, ending } = await refused({ name: `role-${role}`, task: REVIEW }, `person-${role}`, role);
      expect(ending.code).toBe("actor_lacks_write");
      expect(comment).toContain(`person-${role} has the role ${role} in this repository`);
      expect(comment).toContain("write, maintain or admin is needed");
      expect(check).toBe("Not started: only people with write access may start a run");
    },
  );

  it("set by a bot is refused, and the pull request says where to name it", async () => {
    const { comment, check, ending } = await refused({ name: "bot", task: REVIEW }, "helper[bot]", "write");
    expect(ending.code).toBe("bot_not_allowed");
    expect(comment).toContain(`to let helper[bot] start this task, name it under allow-bot-users in ${PATH}`);
    expect(check).toBe("Not started: a bot added the label");
  });

  it("without a task file is refused, and the pull request says which file to add", async () => {
    const { comment, check, ending } = await refused({ name: "no-task", task: null });
    expect(ending.code).toBe("task_missing");
    expect(comment).toContain(`add ${PATH} to the default branch`);
    expect(check).toBe("Not started: there is no task file for this label");
  });

  it("with a broken task file is refused, and the pull request says where it is broken", async () => {
    const task = `---\neffort: high\nsandbx: read-only\n---\n${REVIEW}`;
    const { comment, check, ending } = await refused({ name: "broken-task", task });
    expect(ending.code).toBe("task_invalid");
    expect(comment).toContain(`${PATH}:3:1: there is no option`);
    expect(comment).toContain("sandbox");
    expect(check).toBe("Not started: the task file has a mistake");
  });

  it("on a fork's head pushed just before is refused, and the pull request names the commit to look at", async () => {
    const fork = { name: "fresh-fork", task: REVIEW, fork: "stranger", pushedAt: Date.now() };
    const { comment, check, ending, head } = await refused(fork);
    expect(ending.code).toBe("fork_head_fresh");
    expect(comment).toContain(`its head is ${head}`);
    expect(check).toBe("Not started: the fork's head had just been pushed when the label was added");
  });

  it("that is not one of Mayfly's is ignored, with the reason on record and not a word on the pull request", async () => {
    const pull = await openPull(world, { name: "other-label", task: REVIEW });
    await world.github.addLabel(pull, "bug", { by: MAINTAINER });
    const { guid } = sent(world, "pull_request", "labeled");
    expect(await handled(world, guid)).toMatchObject({
      state: "ignored",
      reason: "the label is not one of Mayfly's",
      run: null,
    });
    const { comments, checkRuns, labels } = world.github.pullRequest(pull);
    expect({ comments, checkRuns, labels }).toEqual({ comments: [], checkRuns: [], labels: ["bug"] });
  });

  it("on a closed pull request is ignored, with the reason on record", async () => {
    const pull = await openPull(world, { name: "closed-before", task: REVIEW });
    await world.github.closePullRequest(pull);
    await world.github.addLabel(pull, LABEL, { by: MAINTAINER });
    const { guid } = sent(world, "pull_request", "labeled");
    expect(await handled(world, guid)).toMatchObject({
      state: "ignored",
      reason: "the pull request is closed: reopen it, then add the label again",
    });
  });
});

describe("the sticky comment", () => {
  it("is edited in place when the label is added again", async () => {
    const pull = await openPull(world, { name: "again", task: null });
    const first = await label(world, pull);
    await ended(world, first);
    const before = published(world, pull, first);
    const second = await label(world, pull);
    await ended(world, second);
    const after = published(world, pull, second);
    expect(second).not.toBe(first);
    expect(after.comment.id).toBe(before.comment.id);
    const { body } = after.comment;
    expect(body.startsWith(`<!-- mayfly:run=${second} -->`)).toBe(true);
    expect(body.indexOf(first)).toBeGreaterThan(body.indexOf("<summary>The result before this one</summary>"));
    expect(world.github.pullRequest(pull).checkRuns).toHaveLength(2);
  });

  it("is made anew when a person has deleted it", async () => {
    const pull = await openPull(world, { name: "deleted", task: null });
    const first = await label(world, pull);
    await ended(world, first);
    const before = published(world, pull, first);
    await deleteComment(pull.repo, before.comment.id);
    expect(world.github.pullRequest(pull).comments).toEqual([]);
    const second = await label(world, pull);
    await ended(world, second);
    expect(published(world, pull, second).comment.id).not.toBe(before.comment.id);
  });

  it("is never somebody else's, even one that carries the marker", async () => {
    const pull = await openPull(world, { name: "marker", task: null });
    const forged = "<!-- mayfly:run=run_00000000000000000000 -->\n\nMine.";
    const theirs = world.github.comment(pull, forged, { by: "stranger" });
    const id = await label(world, pull);
    await ended(world, id);
    published(world, pull, id);
    const { comments } = world.github.pullRequest(pull);
    expect(comments).toHaveLength(2);
    expect(comments.find((one) => one.id === theirs)?.body).toBe(forged);
  });
});

describe("a label that may start a run", () => {
  it("set by a bot counts when the task file names the bot", async () => {
    const task = `---\nallow-bot-users: [helper]\n---\n${REVIEW}`;
    await startsAndIsClosed({ name: "named-bot", task }, "helper[bot]");
  });

  it("on a fork counts when its head has been there for a while", async () => {
    const pushedAt = Date.now() - LONG_AGO_MS;
    await startsAndIsClosed({ name: "old-fork", task: REVIEW, fork: "contributor", pushedAt }, MAINTAINER);
  });
});

describe("a pull request that changes a task file", () => {
  it("gets a check that says on its line why no run would start, by the settings that the service has", async () => {
    const pull = await openPull(world, { name: "changes-a-task", task: REVIEW });
    const text = `---\nsandbx: read-only\npublish: [comment, patch]\n---\n${REVIEW}`;
    await world.github.push(pull, { files: { [PATH]: text } });
    await handled(world, sent(world, "pull_request", "synchronize").guid);
    const checks = world.github.pullRequest(pull).checkRuns;
    expect(checks.map(({ name, conclusion }) => [name, conclusion])).toEqual([["mayfly / tasks", "failure"]]);
    expect(checks[0]?.output.annotations).toMatchObject([{ path: PATH, start_line: 2, annotation_level: "failure" }]);
  });
});

/** Adds the label as that person, sees the refusal through, and returns what is said of it. */
async function refused(options: PullOptions, by = MAINTAINER, role?: "none" | "read" | "triage" | "write") {
  const pull = await openPull(world, options);
  if (role !== undefined) {
    world.github.setRole(pull.repo, by, role);
  }
  const id = await label(world, pull, by);
  const view = await ended(world, id);
  const ending = endingOf(view);
  expect(ending.outcome).toBe("refused");
  expect(view.run).toMatchObject({ epoch: 0, gone: [] });
  expect(view.receipt).toMatchObject({ run: id, outcome: "refused", machines: [], modelCalls: 0 });
  const { comment, check } = published(world, pull, id);
  expect(check.conclusion).toBe("skipped");
  return { comment: comment.body, check: check.output.title, ending, head: pull.headSha };
}

/** The run is let in; then the pull request is closed, so that no machine has to do its work. */
async function startsAndIsClosed(options: PullOptions, by: string): Promise<void> {
  const pull = await openPull(world, options);
  const id = await label(world, pull, by);
  expect((await world.control.view(id)).run.phase).toMatch(/^(queued|running)$/);
  await world.github.closePullRequest(pull, { by: MAINTAINER });
  expect(endingOf(await ended(world, id))).toMatchObject({ outcome: "cancelled", code: "closed" });
  const { comment, check } = published(world, pull, id);
  expect(comment.body).toContain("Cancelled: the pull request was closed");
  expect(check.conclusion).toBe("cancelled");
}

async function deleteComment(repo: string, comment: number): Promise<void> {
  const token = await mint(world.github, repo, { issues: "write" });
  const { status } = await call(world.github, `DELETE /repos/${repo}/issues/comments/${comment}`, { as: token });
  expect(status).toBe(204);
}
