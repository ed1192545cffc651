import { z } from "zod";
import type { Instant } from "./ids.ts";
import type { Actor, Repository } from "./run-request.ts";
import { isRunAgain } from "./webhook-button.ts";
import {
  Action,
  BODY_CHARS_MAX,
  Id,
  Installation,
  invalid,
  Name,
  RepositoryPart,
  Sender,
  Sha,
  Time,
} from "./webhook-parts.ts";

/** Where something happened, and who did it. */
export interface RepositoryEvent {
  readonly installation: number;
  readonly repository: Repository & { readonly defaultBranch: string };
  readonly sender: Actor;
}

/** A new comment on a pull request. It does not say where the head is: that is asked for. */
export interface CommentEvent extends RepositoryEvent {
  readonly kind: "comment";
  readonly number: number;
  readonly comment: { readonly id: number; readonly body: string; readonly createdAt: Instant };
}

/** `Re-run` was pressed beside a check run, ours or not, or our button of the same meaning. */
export interface RerunEvent extends RepositoryEvent {
  readonly kind: "rerun";
  readonly check: { readonly id: number; readonly appSlug: string; readonly externalId: string };
}

/** "Re-run all checks" was pressed: each of an App's check runs on a commit that is its newest there. */
export interface RerunAllEvent extends RepositoryEvent {
  readonly kind: "rerun_all";
  readonly suite: { readonly id: number; readonly appSlug: string; readonly head: string; readonly updatedAt: Instant };
}

type Unread = { readonly kind: "ignored" | "invalid"; readonly reason: string };

const EXTERNAL_ID_CHARS_MAX = 256;

const Common = { sender: Sender, installation: Installation, repository: RepositoryPart };

const CommentBody = z.object({
  ...Common,
  issue: z.object({ number: Id, pull_request: z.object({}).nullish() }),
  comment: z.object({
    id: Id,
    body: z.string().max(BODY_CHARS_MAX).nullish(),
    user: z.object({ id: Id }).nullish(),
    created_at: Time,
    updated_at: Time,
  }),
});

const CheckBody = z.object({
  ...Common,
  check_run: z.object({
    id: Id,
    external_id: z.string().max(EXTERNAL_ID_CHARS_MAX).nullish(),
    app: z.object({ slug: Name.nullish() }).nullish(),
  }),
});

const SuiteBody = z.object({
  ...Common,
  check_suite: z.object({ id: Id, head_sha: Sha, updated_at: Time, app: z.object({ slug: Name.nullish() }).nullish() }),
});

/** `issue_comment`. Only as it was first written: whoever may edit a comment need not be who wrote it. */
export function parseComment(body: object): CommentEvent | Unread {
  const head = Action.safeParse(body);
  if (!head.success) {
    return invalid(head.error);
  }
  if (head.data.action !== "created") {
    return { kind: "ignored", reason: "a comment counts as it was first written" };
  }
  const parsed = CommentBody.safeParse(body);
  if (!parsed.success) {
    return invalid(parsed.error);
  }
  const { issue, comment, sender } = parsed.data;
  if (issue.pull_request === null || issue.pull_request === undefined) {
    return { kind: "ignored", reason: "the comment is on an issue that is no pull request" };
  }
  if (comment.user?.id !== sender.id) {
    return { kind: "invalid", reason: "comment.user.id and sender.id differ" };
  }
  if (comment.updated_at !== comment.created_at) {
    return { kind: "ignored", reason: "the comment was edited since it was written" };
  }
  const { id, body: text, created_at: createdAt } = comment;
  return { ...event(parsed.data), kind: "comment", number: issue.number, comment: { id, body: text ?? "", createdAt } };
}

/** `check_run`: only `Re-run`, GitHub's button or our own, asks for anything here. */
export function parseCheck(body: object): RerunEvent | Unread {
  const head = Action.safeParse(body);
  if (!head.success) {
    return invalid(head.error);
  }
  const { action } = head.data;
  if (action !== "rerequested" && !isRunAgain(body)) {
    return { kind: "ignored", reason: `Mayfly does not act on check runs being ${action.replaceAll("_", " ")}` };
  }
  const parsed = CheckBody.safeParse(body);
  if (!parsed.success) {
    return invalid(parsed.error);
  }
  const { id, external_id: externalId, app } = parsed.data.check_run;
  return {
    ...event(parsed.data),
    kind: "rerun",
    check: { id, appSlug: app?.slug ?? "", externalId: externalId ?? "" },
  };
}

/** `check_suite`: only "Re-run all checks" asks for anything. GitHub sends the rest unasked to whoever may write checks. */
export function parseSuite(body: object): RerunAllEvent | Unread {
  const head = Action.safeParse(body);
  if (!head.success) {
    return invalid(head.error);
  }
  if (head.data.action !== "rerequested") {
    const { action } = head.data;
    return { kind: "ignored", reason: `Mayfly does not act on check suites being ${action.replaceAll("_", " ")}` };
  }
  const parsed = SuiteBody.safeParse(body);
  if (!parsed.success) {
    return invalid(parsed.error);
  }
  const { id, head_sha: sha, updated_at: updatedAt, app } = parsed.data.check_suite;
  return { ...event(parsed.data), kind: "rerun_all", suite: { id, appSlug: app?.slug ?? "", head: sha, updatedAt } };
}

function event(data: z.infer<typeof CheckBody | typeof CommentBody | typeof SuiteBody>): RepositoryEvent {
  const { id, name, owner, default_branch: defaultBranch } = data.repository;
  return {
    installation: data.installation.id,
    repository: { id, owner: owner.login, name, defaultBranch },
    sender: data.sender,
  };
}
