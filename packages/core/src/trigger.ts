import { assertNever } from "./assert.ts";
import { type Command, parseCommand } from "./command.ts";
import { baseChanged, type Ending } from "./ending.ts";
import { matchesAnyFolded } from "./glob.ts";
import { type Instant, isRunId, type RunId } from "./ids.ts";
import { APPLY_PATCH, DISCARD_PATCH } from "./render/check.ts";
import type { Actor, AskedBy } from "./run-request.ts";
import { readTaskCheckId } from "./task-check-id.ts";
import type { PullRequestEvent, Webhook } from "./webhook.ts";
import type { ButtonEvent } from "./webhook-button.ts";
import type { CommentEvent, RerunAllEvent, RerunEvent } from "./webhook-asked.ts";

/** What somebody did, and might be answered with a run. */
type Acted = Exclude<Webhook, { kind: "ping" | "ignored" | "invalid" | "installation" | "button" }>;

/** What a delivery asks of the service. */
export type Trigger =
  /** A run is asked for; policy says whether it may be (policy.ts). */
  | (PullRequestEvent & {
      readonly kind: "start";
      readonly label: string;
      /** How, if not by the label; and when, by GitHub's clock. */
      readonly asked?: { readonly by: AskedBy; readonly at: Instant; readonly headNamed: boolean };
    })
  /** Somebody wrote a command: what it needs to know of GitHub is asked for when it is handled. */
  | { readonly kind: "command"; readonly event: CommentEvent; readonly command: Command }
  /** The same run again, for whoever pressed the button. */
  | { readonly kind: "rerun"; readonly event: RerunEvent; readonly of: RunId }
  /** The same look at a pull request's task files again. */
  | {
      readonly kind: "recheck_tasks";
      readonly installation: number;
      readonly repository: RerunEvent["repository"];
      readonly number: number;
    }
  /** The same again for every check of ours that is the newest of its task on that commit: GitHub is asked which those are. */
  | { readonly kind: "rerun_all"; readonly event: RerunAllEvent }
  /** Live runs of this pull request end: of this label, or all of them; for `drafted`, those whose task asks for it. */
  | {
      readonly kind: "cancel";
      readonly why: "label_removed" | "closed" | "drafted" | "cancel_asked";
      readonly repositoryId: number;
      readonly number: number;
      readonly label: string | null;
      readonly ending: Ending;
    }
  /** Live runs of this pull request that were to go into another branch end. */
  | {
      readonly kind: "retarget";
      readonly repositoryId: number;
      readonly number: number;
      readonly base: string;
      readonly ending: Ending;
    }
  /** Live runs of this pull request on another head end. */
  | {
      readonly kind: "supersede";
      readonly repositoryId: number;
      readonly number: number;
      readonly head: string;
      readonly ending: Ending;
    }
  /** The App lost these repositories, or is gone as a whole: their runs end, their sources go. */
  | {
      readonly kind: "forget";
      readonly installation: number;
      readonly isWhole: boolean;
      /** Those GitHub names: of an App that is gone as a whole it may leave some out. */
      readonly repositoryIds: readonly number[];
      readonly ending: Ending;
    }
  /** A person wants a run's patch on the branch, or not at all; whether they may say so is asked live (patch/apply.ts). */
  | {
      readonly kind: "apply" | "discard";
      readonly installation: number;
      readonly repositoryId: number;
      readonly actor: Actor;
      readonly checkRunId: number;
      readonly externalId: string;
    }
  | { readonly kind: "ignore"; readonly reason: string };

export interface TriggerOptions {
  /** Labels that stand for tasks; `*` stands for any characters. */
  readonly labels: readonly string[];
  /** Our own App's name as in its URL: it acts as `<slug>[bot]`, and its acts ask for nothing. */
  readonly appSlug: string;
}

/** Pure: the same delivery always asks for the same. Whether it was handled before is intake's to know (meaningOf). */
export function triggerOf(webhook: Webhook, options: TriggerOptions): Trigger {
  switch (webhook.kind) {
    case "ping":
      return ignore("a ping asks for nothing");
    case "ignored":
    case "invalid":
      return ignore(webhook.reason);
    case "installation":
      return installationTrigger(webhook);
    case "button":
      return isOwn(webhook.sender, options.appSlug) ? ignore("Mayfly's own acts ask for nothing") : button(webhook);
    default:
      return isOwn(webhook.sender, options.appSlug)
        ? ignore("Mayfly's own acts ask for nothing")
        : triggerOfActor(webhook, options);
  }
}

function triggerOfActor(webhook: Acted, options: TriggerOptions): Trigger {
  switch (webhook.kind) {
    case "comment":
      return commentTrigger(webhook);
    case "rerun":
      return rerunTrigger(webhook, options);
    case "rerun_all":
      return rerunAllTrigger(webhook, options);
    default:
      return pullRequestTrigger(webhook, options);
  }
}

function commentTrigger(event: CommentEvent): Trigger {
  if (event.sender.type !== "User") {
    return ignore("only people give commands in comments");
  }
  const command = parseCommand(event.comment.body);
  return command === null ? ignore("the comment has no command") : { kind: "command", event, command };
}

function rerunTrigger(event: RerunEvent, options: TriggerOptions): Trigger {
  const { appSlug, externalId } = event.check;
  if (appSlug.toLowerCase() !== options.appSlug.toLowerCase()) {
    return ignore("the check run is another App's");
  }
  if (event.sender.type !== "User") {
    return ignore("only people run a check again");
  }
  if (isRunId(externalId)) {
    return { kind: "rerun", event, of: externalId };
  }
  const number = readTaskCheckId(externalId);
  const { installation, repository } = event;
  return number === null
    ? ignore("the check run names no run")
    : { kind: "recheck_tasks", installation, repository, number };
}

function rerunAllTrigger(event: RerunAllEvent, options: TriggerOptions): Trigger {
  if (event.suite.appSlug.toLowerCase() !== options.appSlug.toLowerCase()) {
    return ignore("the check suite is another App's");
  }
  return event.sender.type === "User" ? { kind: "rerun_all", event } : ignore("only people run checks again");
}

function pullRequestTrigger(
  webhook: PullRequestEvent &
    Webhook & {
      kind:
        | "labeled"
        | "unlabeled"
        | "opened"
        | "reopened"
        | "synchronize"
        | "closed"
        | "converted_to_draft"
        | "retargeted";
    },
  options: TriggerOptions,
): Trigger {
  const { pullRequest, sender } = webhook;
  const about = { repositoryId: webhook.repository.id, number: pullRequest.number };
  switch (webhook.kind) {
    case "labeled":
    case "unlabeled":
      if (!matchesAnyFolded(options.labels, webhook.label)) {
        return ignore("the label is not one of Mayfly's");
      }
      if (webhook.kind === "labeled") {
        return pullRequest.state === "open"
          ? { ...webhook, kind: "start" }
          : ignore("the pull request is closed: reopen it, then add the label again");
      }
      return {
        ...about,
        kind: "cancel",
        why: "label_removed",
        label: webhook.label,
        ending: { outcome: "cancelled", code: "label_removed", detail: `${sender.login} removed ${webhook.label}` },
      };
    case "opened":
    case "reopened":
      return ignore("a pull request that is opened asks for no run");
    case "synchronize":
      return {
        ...about,
        kind: "supersede",
        head: pullRequest.head.sha,
        ending: { outcome: "superseded", code: "pushed", detail: `the head is now ${pullRequest.head.sha}` },
      };
    case "retargeted":
      return {
        ...about,
        kind: "retarget",
        base: pullRequest.base.ref,
        ending: baseChanged(pullRequest.base.ref, webhook.from),
      };
    case "closed":
      return {
        ...about,
        kind: "cancel",
        why: "closed",
        label: null,
        ending: { outcome: "cancelled", code: "closed", detail: `${sender.login} closed the pull request` },
      };
    case "converted_to_draft":
      return {
        ...about,
        kind: "cancel",
        why: "drafted",
        label: null,
        ending: { outcome: "cancelled", code: "drafted", detail: `${sender.login} made the pull request a draft` },
      };
    default:
      return assertNever(webhook);
  }
}

const decisions: ReadonlyMap<string, "apply" | "discard"> = new Map([
  [APPLY_PATCH.identifier, "apply"],
  [DISCARD_PATCH.identifier, "discard"],
]);

function button(webhook: ButtonEvent): Trigger {
  const { installation, repositoryId, sender: actor, checkRunId, externalId } = webhook;
  const kind = decisions.get(webhook.identifier);
  return kind === undefined
    ? ignore("the button is none of Mayfly's")
    : { kind, installation, repositoryId, actor, checkRunId, externalId };
}

const whyGone = { deleted: "the App was uninstalled", suspended: "the App was suspended" } as const;

function installationTrigger(webhook: Webhook & { kind: "installation" }): Trigger {
  const { installation, gone, repositoriesRemoved } = webhook;
  if (gone === null && repositoriesRemoved.length === 0) {
    return ignore(`"${webhook.action.replaceAll("_", " ")}" of an installation ends no run`);
  }
  return {
    kind: "forget",
    installation,
    isWhole: gone !== null,
    repositoryIds: repositoriesRemoved,
    ending: {
      outcome: "cancelled",
      code: "installation_gone",
      detail: gone === null ? "the repository was taken from the App" : whyGone[gone],
    },
  };
}

/** Only bots' names end in `[bot]`, so no person can pass for us. */
function isOwn(sender: Actor, appSlug: string): boolean {
  return sender.type === "Bot" && sender.login.toLowerCase() === `${appSlug.toLowerCase()}[bot]`;
}

function ignore(reason: string): Trigger {
  return { kind: "ignore", reason };
}
