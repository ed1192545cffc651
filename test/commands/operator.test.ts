import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError, OPERATOR, type Run } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { controlSocket } from "../../apps/orchestrator/src/cli/control-client.ts";
import { createProgram } from "../../apps/orchestrator/src/cli/program.ts";
import type { Terminal } from "../../apps/orchestrator/src/cli/terminal.ts";
import { after, eventsUntilPublishing } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { type CommandBench, GITHUB_HOST, LABEL, openCommands } from "./bench.ts";

const by = { by: "maintainer" };
let bench: CommandBench;
let state: string;
let known: Promise<PullView> | undefined;

beforeAll(async () => {
  bench = await openCommands();
  state = await mkdtemp(join(tmpdir(), "mf-operator-"));
  await bench.control.listen({ path: controlSocket(state) });
});

afterAll(async () => {
  await bench.end();
  await rm(state, { recursive: true, force: true });
});

interface Typed {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What a person at the host sees of `mayfly run …`; a fault by its code, its words and its exit code. */
async function mayfly(...words: string[]): Promise<Typed> {
  let [out, err] = ["", ""];
  const terminal: Terminal = {
    env: { MAYFLY_STATE_DIR: state },
    stdout: (text) => void (out += text),
    stderr: (text) => void (err += text),
    isRoot: false,
    isInteractive: false,
    onStop: () => undefined,
    program: "mayfly",
    stdin: () => ({ [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }) }),
    tellParent: () => undefined,
    onOrphaned: () => undefined,
  };
  try {
    return { code: await createProgram(terminal, ["run", ...words]), out, err };
  } catch (error) {
    if (!(error instanceof AppError)) {
      throw error;
    }
    return { code: error.code === "INPUT_INVALID" ? 2 : 1, out, err: `${error.code}: ${error.message}` };
  }
}

function addressOf(pull: PullView): string {
  return `https://${GITHUB_HOST}/${pull.repo}/pull/${pull.number}`;
}

/** An open pull request that GitHub has told the service of. */
async function openKnown(name: string, options?: Parameters<CommandBench["open"]>[1]): Promise<PullView> {
  const pull = await bench.open(name, options);
  await bench.handOver("pull_request", undefined, "opened");
  return pull;
}

async function only(pull: PullView): Promise<Run> {
  const [found, ...more] = await bench.runsOn(pull);
  if (found === undefined || more.length > 0) {
    throw new Error(`${more.length} more runs than one`);
  }
  return found.run;
}

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

describe("mayfly run start", () => {
  it("starts the task on the head without a label, and the run and its comment say that the operator did", async () => {
    const pull = await openKnown("op-start");
    const typed = await mayfly(
      "start",
      "--pr",
      addressOf(pull),
      "--task",
      "codex-review",
      "--instructions",
      "Be short",
    );
    const run = await only(pull);
    expect(typed).toMatchObject({
      code: 0,
      out: `${run.id}\n`,
      err: expect.stringContaining("started by the operator"),
    });
    expect(run.request.origin).toMatchObject({
      actor: OPERATOR,
      role: "operator",
      head: pull.headSha,
      label: LABEL,
      asked: { kind: "operator", of: null, instructions: "Be short" },
    });
    expect(run.request.prompt).toMatch(/BEGIN \w+ instructions from the operator\nBe short\nEND/);
    expect(run.request.prompt).toContain("written for this run by whoever operates this service");
    expect(await bench.recheck(run)).toBeNull();
    await finish(run);
    expect(bench.said(pull).join()).toContain(`Started by the operator at \`${pull.headSha}\``);
    expect(bench.said(pull).join()).not.toContain("Asked for by");
  });

  it("starts one run for one key, and refuses the key for something else", async () => {
    const pull = await openKnown("op-key", { tasks: { [LABEL]: "Review.\n", "codex-fix": "Fix.\n" } });
    const first = await mayfly("start", "--pr", `${pull.repo}#${pull.number}`, "--task", "review", "--key", "job-1");
    const second = await mayfly("start", "--pr", addressOf(pull), "--task", "fix", "--key", "job-1");
    expect(second).toMatchObject({ code: 2, err: expect.stringContaining("was given for something else") });
    const third = await mayfly("start", "--pr", addressOf(pull), "--task", "review", "--key", "job-1");
    expect(third).toMatchObject({ code: 0, out: first.out, err: expect.stringContaining("was started before") });
    expect(await bench.runsOn(pull)).toHaveLength(1);
  });

  it("has one run of a task active: a second start supersedes the first, and a label the second", async () => {
    const pull = await openKnown("op-one");
    const start = () => mayfly("start", "--pr", addressOf(pull), "--task", LABEL, "--json");
    const [first, second] = [await start(), await start()].map(({ out }) => JSON.parse(out) as { run: Run });
    expect((await bench.runsOn(pull)).map(({ run }) => run.phase)).toEqual(["queued", "publishing"]);
    expect(second?.run.id).not.toBe(first?.run.id);
  });

  it.each([
    [
      "a task that is not there, with those that are",
      "codex-revue",
      'no task "codex-revue"; did you mean codex-review',
    ],
    ["a task that no label of the operator's stands for", "bug", "Its tasks are: codex-review"],
  ])("starts nothing for %s", async (_, task, words) => {
    const pull = await openKnown(`op-task-${task}`);
    const typed = await mayfly("start", "--pr", addressOf(pull), "--task", task);
    expect(typed).toMatchObject({ code: 1, out: "", err: expect.stringContaining(words) });
    expect(typed.err).toMatch(/^NOT_STARTED/);
    expect(await bench.runsOn(pull)).toEqual([]);
  });

  it.each([
    ["a repository nothing was heard of", `https://${GITHUB_HOST}/example-org/nowhere/pull/1`, "example-org/nowhere"],
    ["another GitHub's", "https://github.invalid/example-org/op-known/pull/1", "github.invalid"],
    ["a number that is none", `https://${GITHUB_HOST}/example-org/op-known/pull/99`, "example-org/op-known#99"],
    ["what is no address", "op-known", "--pr wants the address"],
  ])("starts nothing on %s, and names it", async (_, address, words) => {
    known ??= openKnown("op-known");
    await known;
    const typed = await mayfly("start", "--pr", address, "--task", LABEL);
    expect(typed.code).toBeGreaterThan(0);
    expect(typed.err).toContain(words);
  });

  it("may be made again with the same key once what was wrong is put right", async () => {
    const pull = await openKnown("op-closed");
    await bench.github.closePullRequest(pull, by);
    const start = () => mayfly("start", "--pr", addressOf(pull), "--task", LABEL, "--key", "closed-first");
    expect(await start()).toMatchObject({ code: 1, err: expect.stringContaining("is closed: reopen it") });
    await bench.github.reopenPullRequest(pull, by);
    expect(await start()).toMatchObject({ code: 0 });
  });

  it("is held to the operator's own ceiling, and ends with 1", async () => {
    const pull = await openKnown("op-ceiling", { tasks: { [LABEL]: "---\nsafety-strategy: unsafe\n---\nReview.\n" } });
    const typed = await mayfly("start", "--pr", addressOf(pull), "--task", LABEL);
    expect(typed).toMatchObject({ code: 1, err: expect.stringContaining("refused, not_allowed") });
  });

  it("takes no fresh head of a fork for what the operator saw", async () => {
    const pull = await openKnown("op-fork", { fork: "stranger", pushedAt: Date.now() });
    const typed = await mayfly("start", "--pr", addressOf(pull), "--task", LABEL);
    expect(typed).toMatchObject({ code: 1, err: expect.stringContaining("fork_head_fresh") });
  });
});

describe("mayfly run retry", () => {
  it("has an ended run again on the same commit, with its instructions, once", async () => {
    const pull = await openKnown("op-retry");
    bench.github.comment(pull, "/codex review look at the locks", by);
    await bench.handOver("issue_comment");
    const first = await only(pull);
    expect(await mayfly("retry", first.id)).toMatchObject({ code: 1, err: expect.stringContaining("goes on") });
    await finish(first);
    const typed = await mayfly("retry", first.id);
    expect(typed).toMatchObject({ code: 0, err: expect.stringContaining("started by the operator") });
    expect(await mayfly("retry", first.id)).toMatchObject({ code: 0, out: typed.out });
    const [again, ...more] = await bench.runsOn(pull);
    expect(more).toHaveLength(1);
    expect(again?.origin).toMatchObject({
      actor: OPERATOR,
      head: pull.headSha,
      asked: { kind: "operator", of: first.id, instructions: "look at the locks" },
    });
  });

  it("starts nothing once the head has moved, and says how to have the new one run", async () => {
    const pull = await openKnown("op-moved");
    await mayfly("start", "--pr", addressOf(pull), "--task", LABEL);
    const run = await only(pull);
    await finish(run);
    const head = await bench.github.push(pull, { files: { "README.md": "# B\n" } });
    const typed = await mayfly("retry", run.id);
    expect(typed.code).toBe(1);
    expect(typed.err).toContain(head);
    expect(typed.err).toContain(`mayfly run start --pr ${pull.repo}#${pull.number} --task ${LABEL}`);
  });

  it.each(["run_00000000000000000000", "nonsense"])("of %s, which is no run, says so", async (id) => {
    expect(await mayfly("retry", id)).toMatchObject({ code: 1, err: expect.stringContaining(`there is no run ${id}`) });
  });
});

describe("GitHub", () => {
  it("had nothing to complain about", () => {
    expect(bench.github.contractViolations).toEqual([]);
    expect(bench.github.unknownRequests).toEqual([]);
  });
});
