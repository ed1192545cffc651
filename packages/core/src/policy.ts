import { type Ceiling, refuseLabel, refuseRepository, refuseTask, taskDefaults } from "./ceiling.ts";
import type { Ending, EndingCode } from "./ending.ts";
import type { Instant } from "./ids.ts";
import { limits } from "./limits.ts";
import type { Actor, Repository, TaskSource } from "./run-request.ts";
import { resolveTask, type TaskDefaults, type TaskFile, taskPath } from "./task-file.ts";
import type { TaskSpec } from "./task-spec.ts";

export interface PolicyQuestion {
  readonly label: string;
  readonly repository: Repository;
  readonly actor: Actor;
  /** The actor's live `role_name` in the repository, or `none`. */
  readonly role: string;
  /** True when the head lies in another repository than the base. */
  readonly fork: boolean;
  /** True when that other repository is deleted. */
  readonly forkGone?: boolean;
  readonly head: string;
  /** When the head's repository was last pushed to; null if GitHub does not say. */
  readonly headPushedAt: Instant | null;
  readonly labelledAt: Instant;
  /** True when the person named this very head, and not whatever it was. */
  readonly headNamed?: boolean;
  /** The label's file on the default branch, or the organisation's; null if there is none. */
  readonly task: TaskFile | null;
  /** Where that file was read; not there or null if nobody asks from where. */
  readonly taskSource?: TaskSource | null;
  /** The service's model for tasks that name none. */
  readonly modelDefault: string;
  readonly ceiling: Ceiling;
}

export type PolicyDecision =
  | { readonly allowed: true; readonly task: TaskSpec }
  | { readonly allowed: false; readonly ending: Ending };

/** Roles that may push, and so may start a run. `triage` may set a label, and that is all. */
export const rolesWithWrite = ["write", "maintain", "admin"];
/** The only bot that `allow-bots` trusts, as in codex-action: it acts with the repository's own workflow token. */
export const TRUSTED_BOT = "github-actions";
/** A refusal names the first mistakes; the file has the rest. */
const PROBLEMS_SHOWN_MAX = 3;

/**
 * Whether this run may be, and as what. Pure; asked when the run is requested. A refusal is an ending with a sentence
 * that says what to change. The order is fixed: the label, its file, who asked, the fork's age, the operator's ceiling.
 */
export function decidePolicy(question: PolicyQuestion): PolicyDecision {
  const { label, ceiling, modelDefault } = question;
  const foreign = refuseLabel(label, ceiling);
  if (foreign !== null) {
    return refuse("not_allowed", foreign);
  }
  const read = readTask(label, question.task, taskDefaults(ceiling, modelDefault), {
    owner: question.repository.owner,
    source: question.taskSource ?? null,
  });
  if (!read.ok) {
    return { allowed: false, ending: read.ending };
  }
  const { task, path } = read;
  return (
    refuseActor(question, task, path) ??
    refuseFreshFork(question) ??
    refuseBeyondCeiling(question, task) ?? { allowed: true, task }
  );
}

/** The task that a label's file stands for, with its defaults, or the ending of a run for which there is none. Pure. */
export function readTask(
  label: string,
  file: TaskFile | null,
  defaults: TaskDefaults,
  asked: { readonly owner: string; readonly source: TaskSource | null } | null = null,
):
  | { readonly ok: true; readonly task: TaskSpec; readonly path: string }
  | { readonly ok: false; readonly ending: Ending } {
  const named = taskPath(label);
  if (!named.ok) {
    const detail = `the label "${label}" cannot have a task file, for it ${named.reason}; rename the label`;
    return { ok: false, ending: refused("task_missing", detail) };
  }
  if (file === null) {
    const also =
      asked === null ? "" : `; it is neither there nor in ${asked.owner}/.github, as far as the App can read it`;
    return { ok: false, ending: refused("task_missing", `add ${named.path} to the default branch${also}`) };
  }
  const { source } = asked ?? { source: null };
  const path = source?.from === "organisation" ? `${source.owner}/${source.name}/${named.path}` : named.path;
  if (!file.ok) {
    return { ok: false, ending: refused("task_invalid", mistakes(path, file)) };
  }
  return file.options.enabled === false
    ? { ok: false, ending: refused("task_off", `${path} says enabled: false`) }
    : { ok: true, task: resolveTask(label, file.options, defaults), path };
}

function mistakes(path: string, file: TaskFile & { ok: false }): string {
  const shown = file.problems.slice(0, PROBLEMS_SHOWN_MAX).map(({ line, column, message }) => {
    return `${path}:${line}:${column}: ${message}`;
  });
  const more = file.problems.length - shown.length;
  return shown.join("; ") + (more > 0 ? `; and ${more} more` : "");
}

function refuseActor(question: PolicyQuestion, task: TaskSpec, path: string): PolicyDecision | null {
  const { actor } = question;
  switch (actor.type) {
    case "User":
      return refusePerson(question, task, path);
    case "Bot":
      return refuseBot(question, task, path);
    case "Operator":
      return null;
    default:
      return refuse("actor_lacks_write", `${actor.login} is neither a person nor a bot that a task file can name`);
  }
}

function refusePerson(question: PolicyQuestion, task: TaskSpec, path: string): PolicyDecision | null {
  const { actor, role, fork } = question;
  if (rolesWithWrite.includes(role)) {
    return null;
  }
  const isListed = task.allowUsers.some((login) => login.toLowerCase() === actor.login.toLowerCase());
  if (isListed && !fork) {
    return null;
  }
  const has = `${actor.login} has the role ${role} in this repository; write, maintain or admin is needed`;
  return refuse(
    "actor_lacks_write",
    fork
      ? `${has}${isListed ? ", for allow-users does not count on a pull request from a fork" : ""}`
      : `${has}, or a place under allow-users in ${path}`,
  );
}

function refuseBot(question: PolicyQuestion, task: TaskSpec, path: string): PolicyDecision | null {
  const { actor, fork } = question;
  if (fork) {
    return refuse(
      "bot_not_allowed",
      `${actor.login} is a bot, and on a pull request from a fork a person with write access must add the label`,
    );
  }
  const name = botName(actor.login);
  if (task.allowBotUsers.some((bot) => botName(bot) === name) || (task.allowBots && name === TRUSTED_BOT)) {
    return null;
  }
  const why = task.allowBots ? `allow-bots stands for ${TRUSTED_BOT}[bot] alone; ` : "";
  return refuse(
    "bot_not_allowed",
    `${why}to let ${actor.login} start this task, name it under allow-bot-users in ${path}`,
  );
}

function botName(login: string): string {
  return login.toLowerCase().replace(/\[bot\]$/, "");
}

/** A head pushed just before the label may not be what the person saw. Not to know when is to know that it may be so. */
function refuseFreshFork(question: PolicyQuestion): PolicyDecision | null {
  const { fork, head, headPushedAt, labelledAt, headNamed = false } = question;
  if (!fork || headNamed || (headPushedAt !== null && labelledAt - headPushedAt >= limits.forkSettleMs)) {
    return null;
  }
  if (question.forkGone === true) {
    const command = `/codex run ${head} ${question.label}`;
    const detail = `the fork is deleted, so GitHub does not say when it was last pushed to; its head is ${head}. To have this commit run, comment: ${command}`;
    return refuse("fork_gone", detail);
  }
  const seconds = limits.forkSettleMs / 1_000;
  const when =
    headPushedAt === null
      ? "GitHub does not say when the fork was last pushed to"
      : `the fork was pushed to less than ${seconds} s before the label was added`;
  return refuse("fork_head_fresh", `${when}; its head is ${head}`);
}

function refuseBeyondCeiling({ ceiling, repository, fork }: PolicyQuestion, task: TaskSpec): PolicyDecision | null {
  if (fork && task.network !== undefined) {
    const why =
      "what a fork brings could send the repository's text to those hosts; use a task without `network` there";
    return refuse(
      "not_allowed",
      `network: a task whose set-up reaches hosts is never run on a fork's pull request; ${why}`,
    );
  }
  const [first] = refuseTask(task, ceiling);
  const detail = first?.detail ?? refuseRepository(`${repository.owner}/${repository.name}`, ceiling);
  return detail === null ? null : refuse("not_allowed", detail);
}

function refuse(code: EndingCode, detail: string): PolicyDecision {
  return { allowed: false, ending: refused(code, detail) };
}

function refused(code: EndingCode, detail: string): Ending {
  return { outcome: "refused", code, detail };
}
