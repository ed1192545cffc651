import { randomUUID } from "node:crypto";
import type { Run } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { after, eventsUntilPublishing } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { type CommandBench, openCommands } from "./bench.ts";

const by = { by: "maintainer" };
const tasks = { "codex-review": "Review this.\n", "codex-security": "Look for holes.\n" };
const names = ["review", "security"];
let bench: CommandBench;

beforeAll(async () => {
  bench = await openCommands();
});

afterAll(() => bench.end());

/** The run's result stands on the pull request, and its record says so. */
async function finish({ id }: Run): Promise<void> {
  const found = await bench.store.loadRun(id);
  const origin = found?.value.request.origin;
  if (found === null || origin?.kind !== "pull_request") {
    throw new Error(`there is no run ${id}`);
  }
  const ready = after(found.value, eventsUntilPublishing(origin));
  const event = await (await bench.publisher(() => "All is well.")).publish(ready);
  await bench.store.commit([{ kind: "run", value: after(ready, [event]), version: found.version }]);
}

async function openWithChecks(name: string, options: Parameters<CommandBench["open"]>[1] = {}): Promise<PullView> {
  const pull = await bench.open(name, { tasks, ...options });
  for (const task of names) {
    bench.github.comment(pull, `/codex ${task}`, by);
    await bench.handOver("issue_comment");
  }
  for (const { run } of await bench.runsOn(pull)) {
    await finish(run);
  }
  return pull;
}

/** Which run each is the same again of. */
async function againOf(pull: PullView): Promise<string[]> {
  return (await bench.runsOn(pull)).flatMap(({ origin }) =>
    origin.asked?.kind === "rerun" ? [`${origin.label} of ${origin.asked.of}`] : [],
  );
}

/** Hands it over as if so much later or earlier than its checks. */
function handOverAt(ms: number) {
  return bench.handOver("check_suite", undefined, undefined, (body) => {
    const suite = body["check_suite"] as { updated_at: string };
    const at = new Date(Date.parse(suite.updated_at) + ms).toISOString();
    return { ...body, check_suite: { ...suite, updated_at: at } };
  });
}

describe("Re-run all checks", () => {
  it("runs every task again whose check is the newest on that commit, for whoever pressed it, once", async () => {
    const pull = await openWithChecks("all");
    const before = (await bench.runsOn(pull)).map(({ origin, run }) => `${origin.label} of ${run.id}`);
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, { by: "maintainer" });
    const record = await bench.handOver("check_suite");
    expect(record.state).toBe("started");
    expect((await againOf(pull)).toSorted()).toEqual(before.toSorted());
    for (const { origin, run } of (await bench.runsOn(pull)).slice(0, 2)) {
      expect(record.reason).toContain(run.id);
      expect(origin).toMatchObject({ head: pull.headSha, actor: { login: "maintainer" }, role: "maintain" });
    }
    expect(await bench.handOver("check_suite", randomUUID())).toMatchObject({ state: "ignored" });
    expect(await againOf(pull)).toHaveLength(2);
  });

  it.each([["the checks' own events come first", true] as const, ["they come after it", false] as const])(
    "makes no second run of a task when GitHub tells of each check too, and %s",
    async (_, isFirst) => {
      const pull = await openWithChecks(`both-${isFirst}`);
      const press = async () => {
        for (const check of bench.github.checkRuns(pull.repo)) {
          bench.github.rerequestCheck(pull.repo, check.id, by);
          await bench.handOver("check_run");
        }
      };
      await (isFirst ? press() : null);
      await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
      await bench.handOver("check_suite");
      await (isFirst ? null : press());
      expect(await againOf(pull)).toHaveLength(2);
    },
  );

  it("can be pressed again once the new runs have ended, and then stands for the new checks", async () => {
    const pull = await openWithChecks("again");
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
    await bench.handOver("check_suite");
    const second = (await bench.runsOn(pull)).slice(0, 2);
    for (const { run } of second) {
      await finish(run);
    }
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
    // GitHub's times have whole seconds, and a run takes longer than all of this.
    expect(await handOverAt(60_000)).toMatchObject({ state: "started" });
    const third = (await bench.runsOn(pull)).slice(0, 2).map(({ origin }) => origin.asked);
    expect(third).toEqual(expect.arrayContaining(second.map(({ run }) => ({ kind: "rerun", of: run.id }))));
    expect(await againOf(pull)).toHaveLength(4);
  });

  it("starts nothing when word of it comes after what it asked for has been done", async () => {
    const pull = await openWithChecks("late");
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
    expect(await handOverAt(-60_000)).toMatchObject({
      state: "ignored",
      reason: expect.stringContaining("has answered it since"),
    });
    expect(await againOf(pull)).toEqual([]);
  });

  it("leaves a task that is at work on that commit alone", async () => {
    const pull = await openWithChecks("at-work");
    bench.github.comment(pull, "/codex review", by);
    await bench.handOver("issue_comment");
    const [working] = await bench.runsOn(pull);
    await (working && (await bench.publisher(() => null)).ensureProgress(working.run));
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
    const record = await bench.handOver("check_suite");
    expect(record.reason).toContain(`run ${working?.run.id} goes on`);
    expect(await againOf(pull)).toEqual([expect.stringContaining("codex-security")]);
  });

  it("of a commit that is not the head any more starts nothing and says which is, once", async () => {
    const pull = await openWithChecks("old-head");
    const head = await bench.github.push(pull, { files: { "README.md": "# B\n" } });
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
    expect(await bench.handOver("check_suite")).toMatchObject({ state: "applied" });
    expect(await againOf(pull)).toEqual([]);
    expect(bench.said(pull).filter((text) => text.includes(head))).toHaveLength(1);
  });

  it("by somebody without write access starts nothing and says so once", async () => {
    const pull = await openWithChecks("no-write");
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, { by: "triager" });
    await bench.handOver("check_suite");
    expect(await againOf(pull)).toEqual([]);
    expect(bench.said(pull).filter((text) => text.includes("commands need write access"))).toHaveLength(1);
  });

  it("on a fork runs what its check stood for, though GitHub does not say which pull request it is", async () => {
    const pull = await openWithChecks("of-fork", { fork: "stranger" });
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
    await bench.handOver("check_suite");
    expect(await againOf(pull)).toHaveLength(2);
  });

  it("goes on where it was interrupted, with the runs it had named", async () => {
    const pull = await openWithChecks("interrupted");
    await bench.github.rerequestAllChecks(pull.repo, pull.headSha, by);
    bench.github.failNext({ method: "GET", pathPattern: /codex-review\.md$/, status: 502 });
    await expect(bench.handOver("check_suite")).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
    expect(await againOf(pull)).toHaveLength(1);
    expect(await bench.handOver("check_suite")).toMatchObject({ state: "started" });
    expect(await againOf(pull)).toHaveLength(2);
  });

  it("gives GitHub nothing to complain about", () => {
    expect(bench.github.contractViolations).toEqual([]);
    expect(bench.github.unknownRequests).toEqual([]);
  });
});
