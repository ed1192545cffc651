import {
  type DeliveryId,
  INSTRUCTIONS_CHARS_MAX,
  type Instant,
  makeSafe,
  type RepositoryEvent,
  type Run,
} from "@mayfly/core";
import { type GitHubApp, MAKE_ONCE } from "../github/app.ts";

/** What is said on the pull request. Our own words; whatever came from elsewhere stands in a code span. */
export interface Answer {
  readonly name: string;
  readonly text: string;
}

const SPAN_CHARS_MAX = 100;
const TASKS_MAX = 30;
const RUNS_MAX = 10;
const PAGE = 100;

export const answers = {
  lacksWrite: (login: string, role: string) =>
    answer(
      "lacks_write",
      `${span(login)} has the role ${span(role)} in this repository, and commands need write access. ` +
        "Ask somebody who has it to comment the same. This is said once.",
    ),
  edited: () =>
    answer(
      "edited",
      "A command counts as it was first written, and this comment was changed or removed. Write it anew.",
    ),
  closed: () => answer("closed", "The pull request is closed. Reopen it, then give the command again."),
  pushedSince: (head: string, task: string) =>
    answer(
      "pushed_since",
      `The head may have been pushed after the command was written, so nothing was started. It is now ${span(head)}. ` +
        `Look at it, then comment ${span(`/codex run ${head} ${task}`)}.`,
    ),
  otherHead: (head: string, task: string) =>
    answer(
      "other_head",
      `That commit is not the head of this pull request, so nothing was started. The head is ${span(head)}. ` +
        `Look at it, then comment ${span(`/codex run ${head} ${task}`)}.`,
    ),
  unknownTask: (name: string, near: string | null, tasks: readonly string[]) =>
    answer(
      "unknown_task",
      `There is no task or command ${span(name)} here${near === null ? "" : `; did you mean ${span(near)}?`}\n\n${listOf(tasks)}`,
    ),
  nothingToRetry: () => answer("nothing_to_retry", "There was no run on this pull request yet. See `/codex help`."),
  nothingToDecide: () =>
    answer(
      "nothing_to_decide",
      "No run on this pull request has a patch to decide on. A task makes one if it names `patch` under `publish`.",
    ),
  /** @param said What became of the patch, in our own words or GitHub's. */
  decided: (said: string) =>
    answer(
      "decided",
      makeSafe(`${said.slice(0, 1).toUpperCase()}${said.slice(1)}.`, { repository: null, githubHost: "github.com" })
        .markdown,
    ),
  wrong: (why: "no_sha" | "too_long") =>
    answer(
      why,
      why === "no_sha"
        ? "`/codex run` wants the whole commit and the task: `/codex run SHA TASK`."
        : `Instructions may have ${INSTRUCTIONS_CHARS_MAX} characters. Put more of them into the task file.`,
    ),
  status: (runs: readonly Run[]) => answer("status", statusText(runs)),
  help: (tasks: readonly string[]) =>
    answer("help", [listOf(tasks), "", ...commandLines.map((line) => `- ${line}`)].join("\n")),
};

const commandLines = [
  "`/codex TASK [instructions]` runs a task on the head of this pull request",
  "`/codex run SHA TASK [instructions]` runs it if SHA is the head",
  "`/codex retry` runs the latest task again, with its instructions",
  "`/codex apply` puts the latest run's patch on the branch, `/codex discard` turns it down",
  "`/codex cancel [TASK]` ends what is running",
  "`/codex status` says what is running and what ran",
];

/**
 * Says it once for one command. Looks for its own words first: a step may be taken again.
 *
 * @param answer `at` is when the command was given: no answer is older.
 */
export async function ensureAnswer(
  app: GitHubApp,
  {
    event,
    number,
    key,
    text,
    at,
  }: { event: RepositoryEvent; number: number; key: DeliveryId; text: string; at: Instant },
): Promise<void> {
  const { installation, repository } = event;
  const marker = `<!-- mayfly:answer=${key} -->`;
  const where = { owner: repository.owner, repo: repository.name, issue_number: number };
  const { id: appId } = await app.identity();
  await app.withClient("answer", { installation, repository }, async (client) => {
    const since = new Date(at - CLOCKS_MS).toISOString();
    const { data } = await client.request("GET /repos/{owner}/{repo}/issues/{issue_number}/comments", {
      ...where,
      since,
      per_page: PAGE,
    });
    const isThere = data.some(
      (comment) => comment.performed_via_github_app?.id === appId && comment.body?.startsWith(marker) === true,
    );
    if (!isThere) {
      const body = `${marker}\n${text}`;
      await client.request("POST /repos/{owner}/{repo}/issues/{issue_number}/comments", {
        ...where,
        body,
        request: MAKE_ONCE,
      });
    }
  });
}

/** Ours and GitHub's may differ by so much. */
const CLOCKS_MS = 60 * 60 * 1_000;

function statusText(runs: readonly Run[]): string {
  const lines = runs.slice(0, RUNS_MAX).map((run) => {
    const how =
      run.phase === "done"
        ? run.ending.outcome
        : run.phase === "queued"
          ? `queued, waits for ${run.waitingFor}`
          : run.phase;
    return `- ${span(run.request.task.name)}: ${span(how)}, run ${span(run.id)}`;
  });
  return lines.length === 0 ? "There was no run on this pull request yet." : lines.join("\n");
}

function listOf(tasks: readonly string[]): string {
  if (tasks.length === 0) {
    return "There is no task file in `.github/codex/labels` on the default branch.";
  }
  const more = tasks.length > TASKS_MAX ? `, and ${tasks.length - TASKS_MAX} more` : "";
  return `Tasks: ${tasks.slice(0, TASKS_MAX).map(span).join(", ")}${more}.`;
}

function answer(name: string, text: string): Answer {
  return { name, text };
}

/** What cannot end a code span, nor begin anything: other characters become `?`. */
function span(text: string): string {
  const plain = text
    .slice(0, SPAN_CHARS_MAX)
    .replace(/[^A-Za-z0-9 ./_[\],:-]/g, "?")
    .trim();
  return `\`${plain === "" ? "?" : plain}\``;
}
