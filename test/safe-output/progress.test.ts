import { limits, type Run } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { after, eventsUntilPublishing, type GitHubBench, openGitHubAlone } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { createStickies, publisherOf, saying } from "./publishing.ts";

let bench: GitHubBench;
let end: () => Promise<void>;

beforeAll(async () => {
  ({ bench, close: end } = await openGitHubAlone());
});

afterAll(() => end());

/** A run that was just asked for, and a publisher whose time stands still until it is told otherwise. */
async function begun(options: { contentUsed?: () => number } = {}) {
  const { run, pull, origin } = await bench.openRun();
  let now = Date.now();
  const made = publisherOf(bench, saying("It holds."), { ...options, now: () => now });
  const events = eventsUntilPublishing(origin);
  return {
    ...made,
    run,
    pull,
    /** The run after that many of its events. */
    at: (count: number): Run => after(run, events.slice(0, count)),
    whole: () => after(run, events),
    pass: (ms: number) => (now += ms),
    writes: () => made.requests.filter(({ route }) => !route.startsWith("GET ")).length,
  };
}

const ofPull = (pull: PullView) => new RegExp(`^/repos/${pull.repo}/issues/\\d+/comments$`);

describe("a run that goes on", () => {
  it("shows where it stands in the check and in the task's comment from the first moment, in our words alone", async () => {
    const { publisher, run, pull } = await begun();
    await publisher.ensureProgress(run);
    const { comments, checkRuns } = bench.github.pullRequest(pull);
    expect(comments.map(({ body }) => body)).toEqual([
      expect.stringMatching(/^<!-- mayfly:run=run_\w+ -->\n\n### Queued: waiting for the source · /),
    ]);
    expect(comments[0]?.body).toContain("To stop it, remove the label.");
    expect(checkRuns.map(({ status }) => status)).toEqual(["queued"]);
  });

  it("becomes its result in the same comment", async () => {
    const { publisher, run, pull, whole } = await begun();
    await publisher.ensureProgress(run);
    await publisher.publish(whole());
    const { comments } = bench.github.pullRequest(pull);
    expect(comments.map(({ body }) => body)).toEqual([expect.stringContaining("It holds.")]);
    expect(comments[0]?.body).not.toContain("Queued");
  });

  it("is shown again only when there is something new, and 15 seconds after the last time", async () => {
    const { publisher, run, pull, at, pass, writes } = await begun();
    await publisher.ensureProgress(run);
    const first = writes();
    pass(limits.progressEveryMs);
    await publisher.ensureProgress(run);
    expect(writes()).toBe(first);

    await publisher.ensureProgress(at(2));
    expect(writes()).toBe(first + 2);
    pass(limits.progressEveryMs - 1);
    await publisher.ensureProgress(at(4));
    expect(writes()).toBe(first + 2);
    pass(1);
    await publisher.ensureProgress(at(4));
    expect(writes()).toBe(first + 4);
    expect(bench.github.pullRequest(pull).comments[0]?.body).toContain("- confinement checked: ");
  });

  it("is shown once, and not again until its result, where the installation has used up what GitHub takes", async () => {
    const { publisher, run, pull, at, whole, pass, writes } = await begun({
      contentUsed: () => limits.contentPerHourMax,
    });
    await publisher.ensureProgress(run);
    const first = writes();
    pass(3_600_000);
    await publisher.ensureProgress(at(4));
    expect(writes()).toBe(first);
    await publisher.publish(whole());
    expect(bench.github.pullRequest(pull).comments[0]?.body).toContain("It holds.");
  });

  it("waits for no other run of its account: what cannot be shown now is shown later", async () => {
    const first = await begun();
    const second = await bench.openRun();
    const slow = new RegExp(`^/repos/${first.pull.repo}/check-runs$`);
    const { promise: isAsked, resolve } = Promise.withResolvers<undefined>();
    slow.test = (path) => {
      const isIt = path === `/repos/${first.pull.repo}/check-runs`;
      return isIt && resolve(undefined) === undefined;
    };
    bench.github.failNext({ method: "POST", pathPattern: slow, delayMs: 500 });
    const showing = first.publisher.ensureProgress(first.run);
    await isAsked;
    await first.publisher.ensureProgress(second.run);
    expect(bench.github.pullRequest(first.pull).checkRuns).toHaveLength(0);
    expect(bench.github.pullRequest(second.pull).checkRuns).toHaveLength(0);
    await showing;
    await first.publisher.ensureProgress(second.run);
    expect(bench.github.pullRequest(second.pull).checkRuns).toHaveLength(1);
  });

  it("has one comment though the answer to its making was lost", async () => {
    const { publisher, run, pull } = await begun();
    bench.github.failNext({ method: "POST", pathPattern: ofPull(pull), lost: true });
    await expect(publisher.ensureProgress(run)).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
    await publisher.ensureProgress(run);
    expect(bench.github.pullRequest(pull).comments).toHaveLength(1);
  });

  it("goes on where nobody may comment, with its check and a word in the log", async () => {
    const { publisher, run, pull, log } = await begun();
    bench.github.failNext({ method: "POST", pathPattern: ofPull(pull), status: 410 });
    await publisher.ensureProgress(run);
    const { comments, checkRuns } = bench.github.pullRequest(pull);
    expect([comments.length, checkRuns.length]).toEqual([0, 1]);
    expect(log()).toContain("progress cannot be shown in a comment");
  });

  it("shows nothing for a task that publishes neither a check nor a comment", async () => {
    const { publisher, run, pull } = await begun();
    const { request } = run;
    const quiet: Run = { ...run, request: { ...request, task: { ...request.task, publish: ["review"] } } };
    await publisher.ensureProgress(quiet);
    const { comments, checkRuns } = bench.github.pullRequest(pull);
    expect([comments.length, checkRuns.length]).toEqual([0, 0]);
  });
});

describe("a run after another of the same task", () => {
  it("names the result before it while it goes on, and has it folded below its own", async () => {
    const { run, origin, pull } = await bench.openRun();
    const stickies = createStickies();
    const first = after(run, eventsUntilPublishing(origin));
    const published = await publisherOf(bench, saying("The first answer."), { stickies }).publisher.publish(first);
    const earlier = after(first, [published]);
    const next: Run = { ...run, id: randomIds.run(Date.now()) };
    const facts = (of: Run) => saying(of.id === run.id ? "The first answer." : "The second answer.")();
    const { publisher } = publisherOf(bench, facts, { stickies, earlier });
    const body = () => {
      const { comments } = bench.github.pullRequest(pull);
      expect(comments).toHaveLength(1);
      return comments[0]?.body ?? "";
    };
    const fold = "\n\n<details>\n<summary>The result before this one</summary>\n\n";

    await publisher.ensureProgress(next);
    expect(body()).toContain(`${fold}**Codex has answered**`);
    expect(body()).toMatch(/### Queued: [^]*<details>[^]*\n\n<\/details>$/);
    // While a machine is at work nothing but our own words goes out.
    expect(body()).not.toContain("The first answer");

    const answered = after(next, eventsUntilPublishing(origin));
    await publisher.publish(answered);
    const whole = body();
    expect(whole).toMatch(/> The second answer\.[^]*<details>[^]*> The first answer\.\n\n<\/details>$/);
    await publisher.publish(answered);
    expect(body()).toBe(whole);

    const third: Run = { ...run, id: randomIds.run(Date.now()) };
    await publisherOf(bench, facts, { stickies }).publisher.ensureProgress(third);
    expect(body()).not.toContain("<details>");
  });
});
