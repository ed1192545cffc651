import type { Ending, EndingCode } from "./ending.ts";
import { matchesAnyFolded, matchesGlob } from "./glob.ts";
import type { Instant } from "./ids.ts";
import { limits } from "./limits.ts";
import type { SafetyStrategy } from "./protocol.ts";
import type { Actor, Repository } from "./run-request.ts";
import { resolveTask, type TaskDefaults, type TaskFile, taskPath } from "./task-file.ts";
import type { Publish, TaskSpec } from "./task-spec.ts";

/** What the operator allows at most, whatever a task file says. In patterns `*` stands for any characters but `/`. */
export interface Ceiling {
  readonly labels: readonly string[];
  /** `owner/name`. */
  readonly repositories: readonly string[];
  readonly models: readonly string[];
  readonly safetyStrategies: readonly SafetyStrategy[];
  readonly publications: readonly Publish[];
  readonly runMsMax: number;
}

export interface PolicyQuestion {
  readonly label: string;
  readonly repository: Repository;
  readonly actor: Actor;
  /** The actor's live `role_name` in the repository, or `none`. */
  readonly role: string;
  /** True when the head lies in another repository than the base. */
  readonly fork: boolean;
  readonly head: string;
  /** When the head's repository was last pushed to; null if GitHub does not say. */
  readonly headPushedAt: Instant | null;
  readonly labelledAt: Instant;
  /** True when the person named this very head, and not whatever it was. */
  readonly headNamed?: boolean;
  /** The label's file on the default branch; null if there is none. */
  readonly task: TaskFile | null;
  /** The service's model for tasks that name none. */
  readonly modelDefault: string;
  readonly ceiling: Ceiling;
}

export type PolicyDecision =
  | { readonly allowed: true; readonly task: TaskSpec }
  | { readonly allowed: false; readonly ending: Ending };

/** Roles that may push, and so may start a run. `triage` may set a label, and that is all. */
const rolesWithWrite = ["write", "maintain", "admin"];
/** The only bot that `allow-bots` trusts, as in codex-action: it acts with the repository's own workflow token. */
const TRUSTED_BOT = "github-actions";
/** A refusal names the first mistakes; the file has the rest. */
const PROBLEMS_SHOWN_MAX = 3;

/**
 * Whether this run may be, and as what. Pure; asked when the run is requested. A refusal is an ending with a sentence
 * that says what to change. The order is fixed: the label, its file, who asked, the fork's age, the operator's ceiling.
 */
export function decidePolicy(question: PolicyQuestion): PolicyDecision {
  const { label, task: file, ceiling } = question;
  if (!matchesAnyFolded(ceiling.labels, label)) {
    return refuse("not_allowed", `label: "${label}" is not allowed here; allowed: ${ceiling.labels.join(", ")}`);
  }
  const named = taskPath(label);
  if (!named.ok) {
    return refuse(
      "task_missing",
      `the label "${label}" cannot have a task file, for it ${named.reason}; rename the label`,
    );
  }
  if (file === null) {
    return refuse("task_missing", `add ${named.path} to the default branch`);
  }
  if (!file.ok) {
    return refuse("task_invalid", mistakes(named.path, file));
  }
  const task = resolveTask(label, file.options, defaultsOf(question));
  return (
    refuseActor(question, task, named.path) ??
    refuseFreshFork(question) ??
    refuseBeyondCeiling(question, task) ?? { allowed: true, task }
  );
}

/** What a task gets when it says nothing stays below the ceiling: only what somebody wrote is refused. */
function defaultsOf(question: PolicyQuestion): TaskDefaults {
  const { ceiling, modelDefault } = question;
  return {
    model: modelDefault,
    timeoutMs: Math.min(limits.runMsDefault, ceiling.runMsMax),
    // A review wants an answer of a certain shape, a patch is put on a branch: only a task that asks for one gets it.
    publish: ceiling.publications.filter((name) => name !== "review" && name !== "patch"),
  };
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
  const seconds = limits.forkSettleMs / 1_000;
  const when =
    headPushedAt === null
      ? "GitHub does not say when the fork was last pushed to"
      : `the fork was pushed to less than ${seconds} s before the label was added`;
  return refuse("fork_head_fresh", `${when}; its head is ${head}`);
}

function refuseBeyondCeiling(question: PolicyQuestion, task: TaskSpec): PolicyDecision | null {
  const { ceiling, repository } = question;
  if (!ceiling.models.some((pattern) => matchesGlob(pattern, task.model))) {
    return beyond("model", task.model, ceiling.models);
  }
  if (task.timeoutMs > ceiling.runMsMax) {
    return refuse(
      "not_allowed",
      `timeout: ${span(task.timeoutMs)} is not allowed here; allowed: up to ${span(ceiling.runMsMax)}`,
    );
  }
  if (!ceiling.safetyStrategies.includes(task.safetyStrategy)) {
    const { safetyStrategy: asked } = task;
    const fix = asked === "unsafe" ? `; ${unsafeLeave}` : "";
    return refuse("not_allowed", `${notAllowed("safety-strategy", asked, ceiling.safetyStrategies)}${fix}`);
  }
  const publication = task.publish.find((kind) => !ceiling.publications.includes(kind));
  if (publication !== undefined) {
    return beyond("publish", publication, ceiling.publications);
  }
  const fullName = `${repository.owner}/${repository.name}`;
  return matchesAnyFolded(ceiling.repositories, fullName) ? null : beyond("repository", fullName, ceiling.repositories);
}

/** How an operator lets tasks have Codex as root. It is never the default. */
export const unsafeLeave =
  "unsafe is Codex as root in its machine; to allow it an operator adds unsafe to policy.safety_strategies " +
  "(MAYFLY_SAFETY_STRATEGIES)";

function beyond(option: string, value: string, allowed: readonly string[]): PolicyDecision {
  return refuse("not_allowed", notAllowed(option, value, allowed));
}

function notAllowed(option: string, value: string, allowed: readonly string[]): string {
  return `${option}: ${value} is not allowed here; allowed: ${allowed.join(", ")}`;
}

function span(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1_000}s`;
}

function refuse(code: EndingCode, detail: string): PolicyDecision {
  return { allowed: false, ending: { outcome: "refused", code, detail } };
}
