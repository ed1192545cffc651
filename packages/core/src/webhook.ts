import { z } from "zod";
import type { DiffSize } from "./changed-files.ts";
import type { Instant } from "./ids.ts";
import {
  type CommentEvent,
  parseCheck,
  parseComment,
  parseSuite,
  type RepositoryEvent,
  type RerunAllEvent,
  type RerunEvent,
} from "./webhook-asked.ts";
import { type ButtonEvent, parseButton } from "./webhook-button.ts";
import {
  Action,
  BODY_CHARS_MAX,
  Id,
  Installation,
  invalid,
  Name,
  NAME_CHARS_MAX,
  Ref,
  RepositoryPart,
  Sender,
  Sha,
  Time,
} from "./webhook-parts.ts";
import { readTaskCheckId } from "./task-check-id.ts";

/** What the whole service reads of a pull request's payload. Every text in it is hostile. */
export interface WebhookPullRequest {
  readonly number: number;
  readonly state: "open" | "closed";
  readonly draft: boolean;
  readonly title: string;
  readonly body: string;
  readonly author: string;
  readonly updatedAt: Instant;
  readonly labels: readonly string[];
  /** How much it changes; null where GitHub does not say. */
  readonly size: DiffSize | null;
  readonly head: { readonly sha: string; readonly ref: string; readonly repository: HeadRepository | null };
  readonly base: { readonly sha: string; readonly ref: string; readonly repositoryId: number };
}

/** Where the head lies; null once that repository is deleted. */
export interface HeadRepository {
  readonly id: number;
  readonly fullName: string;
  readonly fork: boolean;
  readonly pushedAt: Instant | null;
}

export interface PullRequestEvent extends RepositoryEvent {
  readonly pullRequest: WebhookPullRequest;
}

/** A delivery as far as Mayfly understands it. */
export type Webhook =
  | { readonly kind: "ping" }
  | (PullRequestEvent & { readonly kind: "labeled" | "unlabeled"; readonly label: string })
  | (PullRequestEvent & { readonly kind: "opened" | "reopened" | "synchronize" | "closed" | "converted_to_draft" })
  /** It goes into another branch than `from` now. */
  | (PullRequestEvent & { readonly kind: "retargeted"; readonly from: string })
  | ButtonEvent
  | CommentEvent
  | RerunEvent
  | RerunAllEvent
  | {
      readonly kind: "installation";
      readonly action: string;
      readonly installation: number;
      /** Why the App may do nothing on the whole account any more; null where it still may. */
      readonly gone: "deleted" | "suspended" | null;
      readonly repositoriesRemoved: readonly number[];
    }
  | { readonly kind: "ignored"; readonly reason: string }
  | { readonly kind: "invalid"; readonly reason: string };

const TITLE_CHARS_MAX = 1_024;
/** GitHub allows 100 on a pull request. */
const LABELS_MAX = 1_000;
/** More than any account of GitHub's has; a payload of 25 MB could name as many. */
const REPOSITORIES_MAX = 200_000;

const Count = z.int().min(0);
const Repositories = z.array(z.object({ id: Id })).max(REPOSITORIES_MAX);

const PullRequest = z.object({
  number: Id,
  state: z.enum(["open", "closed"]),
  draft: z.boolean().nullish(),
  title: z.string().max(TITLE_CHARS_MAX),
  body: z.string().max(BODY_CHARS_MAX).nullish(),
  user: z.object({ login: Name }).nullish(),
  updated_at: Time,
  labels: z
    .array(z.object({ name: Name }))
    .max(LABELS_MAX)
    .nullish(),
  changed_files: Count.nullish(),
  additions: Count.nullish(),
  deletions: Count.nullish(),
  head: z.object({
    sha: Sha,
    ref: Ref,
    repo: z
      .object({
        id: Id,
        full_name: z
          .string()
          .min(1)
          .max(2 * NAME_CHARS_MAX),
        fork: z.boolean(),
        pushed_at: Time.nullish(),
      })
      .nullable(),
  }),
  base: z.object({ sha: Sha, ref: Ref, repo: z.object({ id: Id }) }),
});

/** GitHub adds fields at any time: objects here drop what they do not name, and nothing else of the payload goes on. */
const PullRequestBody = z.object({
  number: Id,
  label: z.object({ name: Name }).nullish(),
  sender: Sender,
  installation: Installation,
  repository: RepositoryPart,
  pull_request: PullRequest,
});

/** `edited` says what was edited: the base branch among other things. */
const FormerBase = z.object({ changes: z.object({ base: z.object({ ref: z.object({ from: Ref }) }) }) });

const InstallationBody = z.object({
  action: z.string(),
  installation: Installation,
  repositories: Repositories.nullish(),
  repositories_removed: Repositories.nullish(),
});

/** Parts of a payload that belong to other events: only the body is signed, so the header must agree with it. */
const foreignTo = {
  ping: ["pull_request", "issue", "review", "comment", "action"],
  pull_request: ["zen", "hook_id", "issue", "review", "comment", "thread", "check_run", "check_suite"],
  installation: ["zen", "hook_id", "pull_request", "issue", "comment", "check_run"],
  check_run: ["zen", "hook_id", "pull_request", "issue", "review", "comment", "label"],
  check_suite: ["zen", "hook_id", "pull_request", "issue", "review", "comment", "label", "check_run"],
  issue_comment: ["zen", "hook_id", "pull_request", "review", "thread", "check_run", "check_suite"],
} as const;

/**
 * What a delivery says, from its `X-GitHub-Event` and its parsed body. Never throws. The signature has been checked
 * before; it covers the body alone, so an event name that does not fit the body's shape is invalid.
 */
export function parseWebhook(delivery: { event: string; body: unknown }): Webhook {
  const { event, body } = delivery;
  if (!/^[a-z_]{1,64}$/.test(event)) {
    return { kind: "invalid", reason: "the event's name is not one of GitHub's" };
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    return { kind: "invalid", reason: "the body is not a JSON object" };
  }
  switch (event) {
    case "ping":
      return foreignPart(body, "ping") ?? parsePing(body);
    case "pull_request":
      return foreignPart(body, "pull_request") ?? parsePullRequest(body);
    case "issue_comment":
      return foreignPart(body, "issue_comment") ?? parseComment(body);
    case "check_run":
      return foreignPart(body, "check_run") ?? parseButton(body) ?? parseCheck(body);
    case "check_suite":
      return foreignPart(body, "check_suite") ?? parseSuite(body);
    case "installation":
    case "installation_repositories":
      return foreignPart(body, "installation") ?? parseInstallation(event, body);
    default:
      return { kind: "ignored", reason: `Mayfly does not act on ${event} events` };
  }
}

/**
 * What a delivery means, apart from its delivery id: equal for a replay, different for a new labelling. Null where
 * handling it twice does no harm.
 */
export function meaningOf(webhook: Webhook): string | null {
  switch (webhook.kind) {
    case "labeled":
    case "unlabeled":
      return meaning(webhook, webhook.label);
    case "opened":
    case "reopened":
    case "synchronize":
    case "closed":
    case "converted_to_draft":
      return meaning(webhook, webhook.pullRequest.head.sha);
    case "retargeted":
      return meaning(webhook, webhook.pullRequest.base.ref);
    case "comment":
      return `${webhook.repository.id}/${webhook.number}/comment/${webhook.comment.id}`;
    case "rerun":
      // A look at task files stays in its check, may be taken as often as somebody presses, and changes nothing twice.
      return readTaskCheckId(webhook.check.externalId) === null
        ? rerunMeaning(webhook.repository.id, webhook.check.id)
        : null;
    case "rerun_all":
      // What comes of it changes the suite, and so a later press has another time.
      return `${webhook.repository.id}/rerun-all/${webhook.suite.id}/${webhook.suite.updatedAt}`;
    default:
      return null;
  }
}

/**
 * The pull request of an event after which its task files may be others than before; null for all other events, and where it
 * does not go into the default branch, since task files count there alone.
 */
export function withOtherTasks(webhook: Webhook): PullRequestEvent | null {
  switch (webhook.kind) {
    case "opened":
    case "reopened":
    case "synchronize":
    case "retargeted": {
      const { pullRequest, repository } = webhook;
      return pullRequest.state === "open" && pullRequest.base.ref === repository.defaultBranch ? webhook : null;
    }
    default:
      return null;
  }
}

/**
 * That a check is run again, whether by its own button or with all of its commit. GitHub does not number these: a check is
 * run again once, and what comes of it has a check of its own.
 */
export function rerunMeaning(repositoryId: number, checkId: number): string {
  return `${repositoryId}/rerun/${checkId}`;
}

/** True when the head lies in another repository than the base, or in one that is gone. */
export function isFork(pullRequest: WebhookPullRequest): boolean {
  return pullRequest.head.repository?.id !== pullRequest.base.repositoryId;
}
/** The one free text stands last, so no two meanings run into each other. */
function meaning(webhook: PullRequestEvent & { kind: string }, what: string): string {
  const { repository, pullRequest, kind } = webhook;
  return [repository.id, pullRequest.number, kind, pullRequest.updatedAt, what].join("/");
}

function foreignPart(body: object, event: keyof typeof foreignTo): Webhook | null {
  const part = foreignTo[event].find((name) => Object.hasOwn(body, name));
  return part === undefined ? null : { kind: "invalid", reason: `an event of this name has no ${part} in its body` };
}

function parsePing(body: object): Webhook {
  return "zen" in body && "hook_id" in body
    ? { kind: "ping" }
    : { kind: "invalid", reason: "a ping has zen and hook_id in its body" };
}

const plain = ["opened", "reopened", "synchronize", "closed", "converted_to_draft"] as const;
const actedOn: readonly string[] = ["labeled", "unlabeled", ...plain];

function parsePullRequest(body: object): Webhook {
  const head = Action.safeParse(body);
  if (!head.success) {
    return invalid(head.error);
  }
  if (!("pull_request" in body)) {
    return { kind: "invalid", reason: "a pull_request event has a pull_request in its body" };
  }
  const { action } = head.data;
  const from = action === "edited" ? FormerBase.safeParse(body).data?.changes.base.ref.from : undefined;
  if (!actedOn.includes(action) && from === undefined) {
    return { kind: "ignored", reason: `Mayfly does not act on pull requests being ${action.replaceAll("_", " ")}` };
  }
  const parsed = PullRequestBody.safeParse(body);
  if (!parsed.success) {
    return invalid(parsed.error);
  }
  const { data } = parsed;
  if (data.number !== data.pull_request.number) {
    return { kind: "invalid", reason: "number and pull_request.number differ" };
  }
  if (data.repository.id !== data.pull_request.base.repo.id) {
    return { kind: "invalid", reason: "repository.id and pull_request.base.repo.id differ" };
  }
  const event = pullRequestEvent(data);
  if (from !== undefined) {
    return { ...event, kind: "retargeted", from };
  }
  const kind = plain.find((one) => one === action);
  if (kind !== undefined) {
    return { ...event, kind };
  }
  // GitHub leaves the label out when it was deleted meanwhile.
  return data.label === null || data.label === undefined
    ? { kind: "ignored", reason: `the label that was ${action === "labeled" ? "added" : "removed"} is not named` }
    : { ...event, kind: action === "labeled" ? "labeled" : "unlabeled", label: data.label.name };
}

function pullRequestEvent(data: z.infer<typeof PullRequestBody>): PullRequestEvent {
  const { repository } = data;
  return {
    installation: data.installation.id,
    repository: {
      id: repository.id,
      owner: repository.owner.login,
      name: repository.name,
      defaultBranch: repository.default_branch,
    },
    sender: data.sender,
    pullRequest: pullRequestOf(data.pull_request),
  };
}

/** A pull request as GitHub answers a question about it: the same shape and bounds. Null if it is not that. */
export function readWebhookPullRequest(body: unknown): WebhookPullRequest | null {
  const parsed = PullRequest.safeParse(body);
  return parsed.success ? pullRequestOf(parsed.data) : null;
}

function pullRequestOf(pull: z.infer<typeof PullRequest>): WebhookPullRequest {
  const { repo } = pull.head;
  return {
    number: pull.number,
    state: pull.state,
    draft: pull.draft ?? false,
    title: pull.title,
    body: pull.body ?? "",
    author: pull.user?.login ?? "ghost",
    updatedAt: pull.updated_at,
    labels: (pull.labels ?? []).map(({ name }) => name),
    size: sizeOf(pull),
    head: {
      sha: pull.head.sha,
      ref: pull.head.ref,
      repository:
        repo === null
          ? null
          : { id: repo.id, fullName: repo.full_name, fork: repo.fork, pushedAt: repo.pushed_at ?? null },
    },
    base: { sha: pull.base.sha, ref: pull.base.ref, repositoryId: pull.base.repo.id },
  };
}

function sizeOf({ changed_files: files, additions, deletions }: z.infer<typeof PullRequest>): DiffSize | null {
  return typeof files === "number" && typeof additions === "number" && typeof deletions === "number"
    ? { files, added: additions, removed: deletions }
    : null;
}

const endings: ReadonlyMap<string, "deleted" | "suspended"> = new Map([
  ["deleted", "deleted"],
  ["suspend", "suspended"],
]);

function parseInstallation(event: "installation" | "installation_repositories", body: object): Webhook {
  const head = Action.safeParse(body);
  if (!head.success) {
    return invalid(head.error);
  }
  const parsed = InstallationBody.safeParse(body);
  if (!parsed.success) {
    return invalid(parsed.error);
  }
  const { installation, repositories, repositories_removed: removed } = parsed.data;
  const { action } = head.data;
  const gone = event === "installation" ? (endings.get(action) ?? null) : null;
  const list = event === "installation_repositories" ? removed : gone !== null ? repositories : null;
  return {
    kind: "installation",
    action,
    installation: installation.id,
    gone,
    repositoriesRemoved: (list ?? []).map((repository) => repository.id),
  };
}
