import {
  assertNever,
  type AskedBy,
  type Command,
  type CommentEvent,
  type DeliveryId,
  type Instant,
  instructionsOf,
  labelsOfFiles,
  type RerunAllEvent,
  type RerunEvent,
  type Run,
  type Store,
  taskNamed,
  type Trigger,
  type WebhookPullRequest,
  TASK_FOLDER,
  offersPatch,
} from "@mayfly/core";
import type { Logger } from "pino";
import type { GitHubApp } from "../github/app.ts";
import type { PullRequestReader, Reading } from "../github/pull-requests.ts";
import type { DeliveryStore } from "../store/deliveries.ts";
import type { DecidePatch } from "../publish/decide-patch.ts";
import { type Answer, answers, ensureAnswer } from "./answers.ts";
import { showSeen } from "./reaction.ts";
import { listReruns, type Reruns } from "./rerun-all.ts";

export interface CommandsDeps {
  readonly reader: PullRequestReader;
  readonly app: GitHubApp;
  readonly store: Store;
  readonly deliveries: DeliveryStore;
  /** Labels that stand for tasks. */
  readonly labels: readonly string[];
  /** Puts a run's patch on its branch or discards it, or says on its check why not. Answers with that. Idempotent. */
  readonly decidePatch: DecidePatch;
  readonly log?: Pick<Logger, "warn">;
}

type Decision = Trigger & { kind: "apply" | "discard" };

/** What a command or a pressed button comes to, once GitHub was asked. */
type Resolved =
  | (Trigger & { kind: "start" | "cancel" })
  /** It was answered on the pull request, or needs no answer. */
  | { readonly kind: "said"; readonly reason: string };

/** A patch that somebody wants on the branch, or turned down. */
interface ToDecide {
  readonly kind: "decide";
  readonly decision: Decision;
}

export interface Commands {
  /** What "Re-run all checks" comes to, check by check. Throws GITHUB_UNAVAILABLE and GITHUB_REFUSED. Changes nothing. */
  listReruns(event: RerunAllEvent): Promise<Reruns>;
  /**
   * Throws GITHUB_UNAVAILABLE and GITHUB_REFUSED. Idempotent: an answer that is there is not given again.
   *
   * @param at When it was asked, by GitHub's clock.
   */
  resolve(id: DeliveryId, asked: Trigger & { kind: "command" | "rerun" }, at: Instant): Promise<Resolved>;
}

/** Runs looked through for those of one pull request. */
const RUNS_MAX = 500;
const rolesWithWrite: readonly string[] = ["write", "maintain", "admin"];

export function createCommands(deps: CommandsDeps): Commands {
  return {
    listReruns: (event) => listReruns(deps, event),
    async resolve(id, asked, at) {
      const { event } = asked;
      const number = asked.kind === "command" ? asked.event.number : await numberOf(deps, asked);
      if (number === null) {
        return { kind: "said", reason: "the check run's run is not known here" };
      }
      const { installation, repository } = event;
      const found = await deps.reader.reading({ installation, repository }, (reading) =>
        consider(deps, reading, { asked, at, number }),
      );
      if ("kind" in found) {
        if (asked.kind === "command" && found.kind !== "said") {
          await showSeen(deps.app, asked.event, deps.log);
        }
        if (found.kind !== "decide") {
          return found;
        }
        const said = await deps.decidePatch(found.decision);
        await ensureAnswer(deps.app, { event, number, key: id, text: answers.decided(said).text, at });
        return { kind: "said", reason: said };
      }
      // Anybody may comment: who may not give commands is told so once on a pull request.
      const isOnce = found.name === "lacks_write";
      const about = `told/${repository.id}/${number}/${event.sender.id}`;
      if (!isOnce || (await deps.deliveries.claimMeaning(about, id)).first) {
        await ensureAnswer(deps.app, { event, number, key: id, text: found.text, at });
      }
      return { kind: "said", reason: `answered: ${found.name}` };
    },
  };
}

/** What is asked, and where. */
interface Question {
  readonly asked: Trigger & { kind: "command" | "rerun" };
  readonly at: Instant;
  readonly number: number;
}

async function consider(
  deps: CommandsDeps,
  reading: Reading,
  question: Question,
): Promise<Resolved | ToDecide | Answer> {
  const { asked, number } = question;
  const { sender } = asked.event;
  const [role, pull, isAsWritten] = await Promise.all([
    reading.role(sender.login),
    reading.pullRequest(number),
    asked.kind === "rerun" ? true : holds(reading, asked.event),
  ]);
  if (!rolesWithWrite.includes(role)) {
    return answers.lacksWrite(sender.login, role);
  }
  if (!isAsWritten) {
    return answers.edited();
  }
  if (pull === null || pull.state !== "open") {
    return answers.closed();
  }
  return asked.kind === "rerun"
    ? again(deps, { ...question, asked }, pull)
    : obey(deps, reading, { ...question, command: asked.command, event: asked.event, pull });
}

/** Whether GitHub still has the comment as it was delivered, from the same person. */
async function holds(reading: Reading, { comment, sender }: CommentEvent): Promise<boolean> {
  const now = await reading.comment(comment.id);
  return now !== null && !now.isEdited && now.body === comment.body && now.userId === sender.id;
}

interface Order {
  readonly command: Command;
  readonly event: CommentEvent;
  readonly pull: WebhookPullRequest;
  readonly at: Instant;
}

async function obey(deps: CommandsDeps, reading: Reading, order: Order): Promise<Resolved | ToDecide | Answer> {
  const { command, event } = order;
  const runs = () => runsOf(deps, event.repository.id, event.number);
  const tasks = async () =>
    labelsOfFiles(await reading.taskFolder(TASK_FOLDER, event.repository.defaultBranch), deps.labels);
  switch (command.kind) {
    case "wrong":
      return answers.wrong(command.why);
    case "status":
      return answers.status(await runs());
    case "help":
      return answers.help(await tasks());
    case "retry": {
      const [latest] = await runs();
      return latest === undefined
        ? answers.nothingToRetry()
        : start(order, latest.request.task.name, null, instructionsOf(latest.request.origin));
    }
    case "apply":
    case "discard":
      return decisionOn(await runs(), event, command.kind);
    case "cancel":
      return command.task === null
        ? cancel(event, null)
        : withTask(command.task, await tasks(), (label) => cancel(event, label));
    case "start": {
      const { task, sha, instructions } = command;
      return withTask(task, await tasks(), (label) => start(order, label, sha, instructions));
    }
    default:
      return assertNever(command);
  }
}

function withTask(
  typed: string,
  tasks: readonly string[],
  use: (label: string) => Resolved | Answer,
): Resolved | Answer {
  const named = taskNamed(typed, tasks);
  return named.label === null ? answers.unknownTask(typed, named.near, tasks) : use(named.label);
}

/** The latest run that was to make a patch is the one whose patch a person can see. */
function decisionOn(runs: readonly Run[], event: CommentEvent, kind: Decision["kind"]): ToDecide | Answer {
  const latest = runs.find(({ request: { task } }) => offersPatch(task));
  const checkRunId = latest?.phase === "done" ? latest.publication.checkRunId : null;
  if (latest === undefined || checkRunId === null) {
    return answers.nothingToDecide();
  }
  const { installation, repository, sender: actor } = event;
  const decision = { kind, installation, repositoryId: repository.id, actor, checkRunId, externalId: latest.id };
  return { kind: "decide", decision };
}

/** The head as GitHub says now, unless it may have changed since the person saw it. */
function start(
  { event, pull, at }: Order,
  label: string,
  sha: string | null,
  instructions: string | null,
): Resolved | Answer {
  const { head } = pull;
  if (sha !== null && sha !== head.sha) {
    return answers.otherHead(head.sha, label);
  }
  const pushedAt = head.repository?.pushedAt ?? null;
  if (sha === null && pushedAt !== null && pushedAt > at) {
    return answers.pushedSince(head.sha, label);
  }
  const by = { kind: "comment", commentId: event.comment.id, instructions } as const;
  return startOf(event, pull, { label, by, at, headNamed: sha !== null });
}

/** The button beside a check stands for the commit of that check. */
async function again(
  deps: CommandsDeps,
  { asked, at }: Question & { asked: Trigger & { kind: "rerun" } },
  pull: WebhookPullRequest,
): Promise<Resolved | ToDecide | Answer> {
  const former = await loadFormer(deps, asked);
  if (former === null) {
    return { kind: "said", reason: "the check run's run is not known here" };
  }
  const { label, head } = former.origin;
  const by = { kind: "rerun", of: asked.of } as const;
  // The press has our clock's time and the run GitHub's: whoever presses has seen the run, so it was asked for before.
  const since = Math.max(at, former.requestedAt);
  return head === pull.head.sha
    ? startOf(asked.event, pull, { label, by, at: since, headNamed: true })
    : answers.otherHead(pull.head.sha, label);
}

function startOf(
  event: CommentEvent | RerunEvent,
  pullRequest: WebhookPullRequest,
  asked: { label: string; by: AskedBy; at: Instant; headNamed: boolean },
): Trigger & { kind: "start" } {
  const { installation, repository, sender } = event;
  const { label, ...rest } = asked;
  return { kind: "start", installation, repository, sender, pullRequest, label, asked: rest };
}

function cancel(event: CommentEvent, label: string | null): Trigger & { kind: "cancel" } {
  return {
    kind: "cancel",
    why: "cancel_asked",
    repositoryId: event.repository.id,
    number: event.number,
    label,
    ending: { outcome: "cancelled", code: "cancel_asked", detail: `${event.sender.login} asked for it` },
  };
}

async function numberOf(deps: CommandsDeps, asked: Trigger & { kind: "rerun" }): Promise<number | null> {
  return (await loadFormer(deps, asked))?.origin.number ?? null;
}

/** The run that the check is of, if it was on that repository: the check's text names it, which is not proof. */
async function loadFormer(deps: CommandsDeps, { of, event }: Trigger & { kind: "rerun" }) {
  const request = (await deps.store.loadRun(of))?.value.request;
  return request?.origin.kind === "pull_request" && request.origin.repository.id === event.repository.id
    ? { origin: request.origin, requestedAt: request.requestedAt }
    : null;
}

/** The newest first. */
async function runsOf(deps: CommandsDeps, repository: number, number: number): Promise<Run[]> {
  return (await deps.store.listRecentRuns(RUNS_MAX)).filter(({ request: { origin } }) => {
    return origin.kind === "pull_request" && origin.repository.id === repository && origin.number === number;
  });
}
