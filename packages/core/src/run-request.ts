import type { DeliveryId, Digest, Instant, RunId } from "./ids.ts";
import type { TaskSpec } from "./task-spec.ts";

/** A GitHub account as it acted, or the operator. `id` is what counts: logins are renamed and recycled. */
export interface Actor {
  readonly id: number;
  readonly login: string;
  /** `Operator` is nobody of GitHub's: no delivery can say it. */
  readonly type: "User" | "Bot" | "Organization" | "Mannequin" | "Operator";
}

/** Whoever reaches the service's control socket on its host. No account has that id, and no login a space. */
export const OPERATOR: Actor = { id: 0, login: "the operator", type: "Operator" };
/** What stands for the operator's role, who needs none in a repository: what a task may do at most is the operator's say. */
export const OPERATOR_ROLE = "operator";

export interface Repository {
  readonly id: number;
  readonly owner: string;
  readonly name: string;
}

/** How a run on a pull request was asked for. */
export type AskedBy =
  | { readonly kind: "label" }
  | { readonly kind: "comment"; readonly commentId: number; readonly instructions: string | null }
  | { readonly kind: "rerun"; readonly of: RunId }
  /** On the command line of the service's host; `of` is the run that is to be had again. */
  | { readonly kind: "operator"; readonly of: RunId | null; readonly instructions: string | null };

/** Asked for on a pull request. Everything about it is fixed here: the SHA that was approved, and by whom (I6). */
export interface PullRequestOrigin {
  readonly kind: "pull_request";
  readonly delivery: DeliveryId;
  readonly installation: number;
  readonly repository: Repository;
  readonly number: number;
  readonly label: string;
  readonly actor: Actor;
  /** The actor's live role when the run was asked for. */
  readonly role: string;
  readonly head: string;
  readonly base: string;
  /** The branch it was to go into. Not there in older records. */
  readonly baseRef?: string;
  readonly fork: boolean;
  /** Whether it was a draft when the run was asked for. Not there in older records. */
  readonly draft?: boolean;
  /** Not there in records of labels, and in those that are older than the other ways: `askedBy` reads it. */
  readonly asked?: AskedBy;
}

/** How a run was asked for. A label's run holds only as long as the label is there. */
export function askedBy(origin: PullRequestOrigin): AskedBy {
  return origin.asked ?? { kind: "label" };
}

export function isByLabel(origin: PullRequestOrigin): boolean {
  return askedBy(origin).kind === "label";
}

/** What was asked for beyond the task, in the words of whoever asked; null where nothing was. */
export function instructionsOf(origin: RunRequest["origin"]): string | null {
  const asked = origin.kind === "pull_request" ? origin.asked : undefined;
  return asked?.kind === "comment" || asked?.kind === "operator" ? asked.instructions : null;
}

/** What a person does to end such a run, in Markdown of ours. */
export function howToStop({ origin }: RunRequest): string {
  return origin.kind === "local" || isByLabel(origin)
    ? "To stop it, remove the label."
    : "To stop it, comment `/codex cancel`.";
}

/** Asked for on the command line, about a folder of the person who typed it. */
export interface LocalOrigin {
  readonly kind: "local";
  readonly user: string;
  readonly path: string;
}

/** Where a task's file was read: in the repository itself, or in the repository `.github` of its owner. */
export interface TaskSource {
  readonly from: "repository" | "organisation";
  readonly owner: string;
  readonly name: string;
  readonly path: string;
  /** The commit of the default branch at that moment. */
  readonly commit: string;
  /** Git's id of the file's bytes. */
  readonly blob: string;
}

/** In one line, of hostile text: escape it to show it. */
export function taskSourceText({ from, owner, name, path, commit, blob }: TaskSource): string {
  const whose = from === "organisation" ? "the organisation's default" : "the repository's own";
  return `${whose}, ${owner}/${name}/${path} at commit ${commit}, blob ${blob}`;
}

/** What a run was asked to do, unchanged to its end. */
export interface RunRequest {
  readonly origin: PullRequestOrigin | LocalOrigin;
  readonly requestedAt: Instant;
  readonly task: TaskSpec;
  /** Of the task file's bytes as read from the default branch, or of the prompt typed; null if there was none to read. */
  readonly taskDigest: Digest | null;
  /** Not there in older records, in those of local runs, and where no file was read. */
  readonly taskSource?: TaskSource;
  /** The whole prompt as Codex gets it; empty for a run that was refused. */
  readonly prompt: string;
}
