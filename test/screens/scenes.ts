import { createHash } from "node:crypto";
import type { AgentEvent, Run, RunFacts } from "@mayfly/core";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { createTaskCheck } from "../../apps/orchestrator/src/publish/task-check.ts";
import { after, eventsUntilPublishing, type GitHubBench } from "../attack/github-bench.ts";
import type { CheckRun } from "../fakes/github/world.ts";
import type { PullView } from "../fakes/github/views.ts";
import { createStickies, factsOf, publisherOf } from "../safe-output/publishing.ts";
import type { Part } from "./page.ts";

/** A picture: what it is called, and what it shows. */
export interface Scene {
  readonly name: string;
  readonly parts: readonly Part[];
}

const BEFORE = "`README.md` promises a list and has none.";
const ANSWER = [
  "**One thing is missing in `README.md`.**",
  "",
  "1. Line 3 says that there is more, and not what. Whoever reads it has to open the folder.",
  "   The patch names what there is.",
  "",
  "The tests pass. None of them reads the README.",
].join("\n");
const REVIEW = {
  summary: "The README grows by a line that says too little.",
  verdict: "minor_problems",
  findings: [
    {
      path: "README.md",
      line: 3,
      start_line: null,
      side: null,
      severity: "medium",
      title: "Says nothing that a reader could use",
      body: "Name what there is more of, so that nobody has to open the folder.",
      suggestion: "More: a list of what is on the shelf.",
    },
  ],
};

const told: AgentEvent[] = [
  {
    type: "todo_list",
    items: [
      { text: "Read the diff and the files around it", completed: true },
      { text: "Run the tests", completed: true },
      { text: "Name what is on the shelf", completed: true },
    ],
  },
  { type: "command_execution", command: "bash -lc 'git diff HEAD~1'", exit_code: 0, status: "completed" },
  { type: "command_execution", command: "bash -lc 'npm test'", exit_code: 0, status: "completed" },
].map((item) => ({ type: "codex", line: JSON.stringify({ type: "item.completed", item }) }));

/** Everything on a pull request at three moments of two runs, and a review: what the real publisher put there. */
export async function playScenes(bench: GitHubBench): Promise<Scene[]> {
  return [...(await commented(bench)), await reviewed(bench), await judged(bench)];
}

const TASK_FILE = ".github/codex/labels/codex-review.md";
/** A task that opens more than one that sets nothing, and has a mistake in another file. */
const CHANGED_TASKS: Readonly<Record<string, string>> = {
  [TASK_FILE]: "---\neffort: high\npublish: [comment, check, review]\nallow-users: [octocat]\n---\nReview this.\n",
  ".github/codex/labels/codex-fix.md": "---\nsandbx: workspace-write\n---\nMend this.\n",
};

/** The check on a pull request that changes task files, with a note beside each line. */
async function judged(bench: GitHubBench): Promise<Scene> {
  const { origin, pull } = await bench.openRun();
  const { installation, repository, number } = origin;
  await bench.github.push(pull, { files: CHANGED_TASKS });
  const now = await bench.reader.reading({ installation, repository }, (reading) => reading.pullRequest(number));
  if (now === null) {
    throw new Error("there is no pull request");
  }
  const ceiling = {
    labels: ["codex-*"],
    repositories: ["*/*"],
    models: ["*"],
    safetyStrategies: ["unprivileged-user"],
    publications: ["comment", "check", "review"],
    runMsMax: 3_600_000,
    setupHosts: [],
  } as const;
  const taskCheck = createTaskCheck({ app: bench.app, terms: { ceiling, modelDefault: "gpt-5.5" } });
  const on = { installation, repository: { ...repository, defaultBranch: "main" } };
  await taskCheck.ensureShown({ ...on, pullRequest: now });
  const [check] = bench.github.pullRequest(pull).checkRuns;
  if (check === undefined) {
    throw new Error("there is no check");
  }
  const beside = (check.output.annotations as readonly Note[]).map(
    ({ path, start_line: line, title, message }): Part => {
      const text = CHANGED_TASKS[path]?.split("\n")[line - 1] ?? "";
      return { kind: "beside", path, line, text, body: `**${title}**\n\n${message}` };
    },
  );
  return { name: "tasks", parts: [checkPart(check), ...beside] };
}

interface Note {
  readonly path: string;
  readonly start_line: number;
  readonly title: string;
  readonly message: string;
}

async function commented(bench: GitHubBench): Promise<Scene[]> {
  const { run, origin, pull } = await bench.openRun();
  const stickies = createStickies();
  const facts = (of: Run): RunFacts =>
    factsOf((result) => ({
      ...result,
      final_message: { state: "present", text: of.id === run.id ? BEFORE : ANSWER },
      changes: { state: "present", files: of.id === run.id ? [] : [change] },
    }));
  const events = eventsUntilPublishing(origin);
  const first = after(run, events);
  const published = await publisherOf(bench, facts, { stickies }).publisher.publish(first);
  const earlier = after(first, [published]);

  const { request } = run;
  const task = { ...request.task, publish: ["comment", "check", "patch"] as const };
  const next: Run = { ...run, id: randomIds.run(Date.now()), request: { ...request, task } };
  const { publisher } = publisherOf(bench, facts, { stickies, earlier, events: told });
  await publisher.ensureProgress(after(next, events.slice(0, 6)));
  const going = shownOf(bench, pull, next);
  await publisher.publish(after(next, events));
  const ended = shownOf(bench, pull, next);
  return [
    { name: "progress", parts: going },
    { name: "result", parts: ended },
  ];
}

async function reviewed(bench: GitHubBench): Promise<Scene> {
  const { run, origin, pull } = await bench.openRun();
  const { request } = run;
  const task = { ...request.task, publish: ["review"] as const };
  const ready = after({ ...run, request: { ...request, task } }, eventsUntilPublishing(origin));
  const facts = (): RunFacts =>
    factsOf((result) => ({ ...result, structured: { state: "present", text: JSON.stringify(REVIEW) } }));
  await publisherOf(bench, facts).publisher.publish(ready);
  const [review] = bench.github.pullRequest(pull).reviews;
  if (review === undefined) {
    throw new Error("there is no review");
  }
  const beside = review.comments.map(({ path, line, body }): Part => ({
    kind: "beside",
    path,
    line: line ?? 0,
    text: "More.",
    body,
  }));
  return { name: "review", parts: [{ kind: "comment", author: "mayfly", body: review.body }, ...beside] };
}

/** What the run has changed: one line of the file that the pull request changes. */
const change = {
  path: "README.md",
  mode: "100644" as const,
  base: blobOf("# Shelf\n\nMore.\n"),
  content: Buffer.from("# Shelf\n\nMore: a list of what is on the shelf.\n").toString("base64"),
};

/** Git's name for a file's bytes. */
function blobOf(text: string): string {
  return createHash("sha1")
    .update(`blob ${Buffer.byteLength(text)}\0${text}`)
    .digest("hex");
}

/** The task's comment and the run's check as they stand now. */
function shownOf(bench: GitHubBench, pull: PullView, run: Run): Part[] {
  const { comments, checkRuns } = bench.github.pullRequest(pull);
  const check = checkRuns.find(({ externalId }) => externalId === run.id);
  const comment = comments.find(({ viaApp }) => viaApp);
  if (check === undefined || comment === undefined) {
    throw new Error("nothing was published");
  }
  return [{ kind: "comment", author: "mayfly", body: comment.body }, checkPart(check)];
}

function checkPart({ name, conclusion, status, output, actions }: CheckRun): Part {
  const state = (conclusion ?? status).replaceAll("_", " ");
  const { title, summary } = output;
  return {
    kind: "check",
    name,
    state,
    title: title ?? "",
    summary: summary ?? "",
    buttons: actions.map(({ label }) => label),
  };
}
