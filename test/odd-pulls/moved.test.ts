import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { after, eventsUntilPublishing } from "../attack/github-bench.ts";
import { type CommandBench, LABEL, openCommands } from "../commands/bench.ts";
import { by, endOf, label, linesOf, publishReview, REVIEW_TASK } from "./bench.ts";

const tasks = { [LABEL]: REVIEW_TASK };
const finding = { path: "README.md", line: 3, title: "Short" };
let bench: CommandBench;

beforeAll(async () => {
  bench = await openCommands();
});

afterAll(() => bench.end());

describe("a repository that is renamed while a run goes on", () => {
  it("gets the review, the comment and the check under its new name, once", async () => {
    const pull = await bench.open("old-name", { tasks });
    const found = await label(bench, pull);
    bench.github.renameRepository(pull.repo, "new-name");
    const moved = { ...pull, repo: "example-org/new-name" };
    expect(await bench.recheck(found.run)).toBeNull();
    const told = await publishReview(bench, found, moved, [finding]);
    await publishReview(bench, found, moved, [finding]);
    expect(told.event.type).toBe("published");
    const now = bench.github.pullRequest(moved);
    expect(now.reviews).toHaveLength(1);
    expect(linesOf(now)).toEqual(["README.md:3 RIGHT"]);
    expect(now.comments).toHaveLength(1);
    expect(now.checkRuns.map(({ conclusion }) => conclusion)).toEqual(["success"]);
  });

  it("has its label taken off and its runs ended by what comes under the new name", async () => {
    const pull = await bench.open("first-name", { tasks });
    const found = await label(bench, pull);
    bench.github.renameRepository(pull.repo, "second-name");
    const moved = { ...pull, repo: "example-org/second-name" };
    await bench.github.push(moved, { files: { "README.md": "# A\n\nOther.\n" } });
    await bench.handOver("pull_request", undefined, "synchronize");
    expect((await bench.store.loadRun(found.run.id))?.value).toMatchObject({ ending: { code: "pushed" } });
    await (await bench.publisher(() => null)).cleanUp((await bench.store.loadRun(found.run.id))?.value ?? found.run);
    expect(bench.github.pullRequest(moved).labels).toEqual([]);
  });

  it("is asked by its new name only at its own address", async () => {
    const pull = await bench.open("led-away", { tasks });
    const found = await label(bench, pull);
    const before = bench.github.tokens().length;
    bench.github.failNext({
      method: "GET",
      pathPattern: /\/pulls\/\d+$/,
      status: 301,
      headers: { location: "http://127.0.0.1:9/repositories/1/pulls/1" },
    });
    await expect(bench.recheck(found.run)).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
    expect(
      bench.github
        .tokens()
        .slice(before)
        .every(({ revokedAt }) => revokedAt !== undefined),
    ).toBe(true);
  });
});

describe("a pull request that is made a draft while a run goes on", () => {
  it.each([
    [
      "ends the run of a task that asks for it",
      "cancel",
      "cancelled drafted: maintainer made the pull request a draft",
      1,
    ],
    ["leaves the run of a task that says so", "continue", "queued", 0],
    ["leaves the run of a task that says nothing", null, "queued", 0],
  ])("%s", async (_, choice, end, count) => {
    const text = choice === null ? REVIEW_TASK : REVIEW_TASK.replace("---", `---\non-draft: ${choice}`);
    const pull = await bench.open(`drafted-${choice}`, { tasks: { [LABEL]: text } });
    const found = await label(bench, pull);
    await bench.github.convertToDraft(pull, by);
    const record = await bench.handOver("pull_request", undefined, "converted_to_draft");
    expect(record).toMatchObject({ state: "applied", reason: `drafted: runs ended: ${count}` });
    const now = (await bench.store.loadRun(found.run.id))?.value ?? found.run;
    expect(endOf({ ...found, run: now })).toBe(end);
  });
});

describe("a pull request that is made a draft though nobody heard of it", () => {
  const text = REVIEW_TASK.replace("---", "---\non-draft: cancel");

  it("ends the run of a task that asks for it before a machine gets it, and before its result is shown", async () => {
    const pull = await bench.open("drafted-silently", { tasks: { [LABEL]: text } });
    const found = await label(bench, pull);
    expect(await bench.recheck(found.run)).toBeNull();
    await bench.github.convertToDraft(pull, by);
    expect(await bench.recheck(found.run)).toEqual({
      outcome: "cancelled",
      code: "drafted",
      detail: "the pull request is a draft now",
    });
    const told = await publishReview(bench, found, pull, [finding]);
    expect(told.event).toMatchObject({ type: "ending_changed", ending: { code: "drafted" } });
    expect(told.pull.reviews).toEqual([]);
  });

  it("leaves a run that was asked for on the draft", async () => {
    const pull = await bench.open("drafted-before", { tasks: { [LABEL]: text } });
    await bench.github.convertToDraft(pull, by);
    expect(await bench.recheck((await label(bench, pull)).run)).toBeNull();
  });
});

describe("a pull request that is sent to another base branch", () => {
  const open = async (name: string) => {
    const pull = await bench.open(name, { tasks });
    await bench.github.commit(pull.repo, "next", { files: { "README.md": "# Next\n" } });
    return pull;
  };

  it("ends its run at once and says what to do", async () => {
    const pull = await open("retargeted");
    const found = await label(bench, pull);
    await bench.github.changeBase(pull, "next", by);
    expect(await bench.handOver("pull_request", undefined, "edited")).toMatchObject({
      state: "applied",
      reason: "base_changed: runs ended: 1",
    });
    const ended = (await bench.store.loadRun(found.run.id))?.value ?? found.run;
    expect(endOf({ ...found, run: ended })).toBe(
      "superseded base_changed: the pull request now goes into next, and was to go into main",
    );
    await (await bench.publisher(() => null)).publish(ended);
    expect(bench.said(pull).join()).toContain("the pull request now goes into next");
    expect(bench.said(pull).join()).toContain("Ask again");
  });

  it("gets no review of the old difference though nobody heard of it", async () => {
    const pull = await open("retargeted-silently");
    const found = await label(bench, pull);
    await bench.github.changeBase(pull, "next", by);
    const told = await publishReview(bench, found, pull, [finding]);
    expect(told.event).toMatchObject({ type: "ending_changed", ending: { code: "base_changed" } });
    expect(told.pull.reviews).toEqual([]);
  });

  it("goes on when only its title is edited, or its base branch moves on", async () => {
    const pull = await open("base-moves");
    const found = await label(bench, pull);
    await bench.github.commit(pull.repo, "main", { files: { "other.txt": "a\n" } });
    expect(await bench.recheck(found.run)).toBeNull();
  });
});

describe("a head that is pushed by force", () => {
  it("ends the run with the new commit's name, and the old commit gets no review", async () => {
    const pull = await bench.open("forced", { tasks });
    const found = await label(bench, pull);
    const head = await bench.github.forcePush(pull, { files: { "README.md": "# A\n\nAnew.\n" } });
    const told = await publishReview(bench, found, pull, [finding]);
    expect(told.event).toMatchObject({
      type: "ending_changed",
      ending: { outcome: "superseded", code: "pushed", detail: `the head is now ${head}` },
    });
    await bench.handOver("pull_request", undefined, "synchronize");
    const ended = (await bench.store.loadRun(found.run.id))?.value ?? found.run;
    expect(endOf({ ...found, run: ended })).toContain(head);
    expect(told.pull.reviews).toEqual([]);
  });
});

describe("an App that is suspended or taken away while a run goes on", () => {
  it("ends the run by its suspension, and puts nothing on GitHub", async () => {
    const pull = await bench.open("suspended", { tasks });
    const found = await label(bench, pull);
    bench.github.suspend("example-org");
    try {
      expect(await bench.handOver("installation", undefined, "suspend")).toMatchObject({ state: "applied" });
      const ended = (await bench.store.loadRun(found.run.id))?.value ?? found.run;
      expect(endOf({ ...found, run: ended })).toBe("cancelled installation_gone: the App was suspended");
      const ready = after(found.run, eventsUntilPublishing(found.origin));
      const publisher = await bench.publisher(() => "All is well.");
      await expect(publisher.publish(ready)).rejects.toMatchObject({ code: "GITHUB_REFUSED", retryable: false });
      expect(bench.said(pull)).toEqual([]);
    } finally {
      bench.github.unsuspend("example-org");
    }
    expect(await bench.handOver("installation", undefined, "unsuspend")).toMatchObject({ state: "ignored" });
    const again = await bench.open("unsuspended", { tasks });
    expect(endOf(await label(bench, again))).toBe("queued");
  });

  it("ends its runs and forgets its mirrors, those that GitHub does not name too", async () => {
    const pull = await bench.open("uninstalled", { tasks });
    const found = await label(bench, pull);
    bench.github.uninstall("example-org");
    const told = bench.github.deliveries().findLast(({ action }) => action === "deleted");
    const body = JSON.parse(told?.requestBody.toString() ?? "{}") as { repositories?: unknown };
    expect(body.repositories).toBeDefined();
    await bench.handOver("installation", undefined, "deleted", (sent) => ({ ...sent, repositories: undefined }));
    const ended = (await bench.store.loadRun(found.run.id))?.value ?? found.run;
    expect(endOf({ ...found, run: ended })).toBe("cancelled installation_gone: the App was uninstalled");
    expect(bench.forgotten).toContain(pull.repositoryId);
  });
});

it("asks and is told nothing that GitHub's description does not have", () => {
  expect(bench.github.contractViolations).toEqual([]);
});
