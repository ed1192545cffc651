import type { RunId } from "../ids.ts";
import type { Actor, PullRequestOrigin } from "../run-request.ts";

/** The pull request as GitHub says it is, at the moment somebody wants a patch on it. */
export interface PullRequestNow {
  readonly open: boolean;
  readonly head: string;
  /** Null once that repository is gone. */
  readonly headRepositoryId: number | null;
  readonly headRef: string;
  readonly defaultBranch: string;
  /** The live `role_name` of whoever applies, in the repository of the head, or `none`. */
  readonly role: string;
}

const rolesWithWrite: readonly string[] = ["write", "maintain", "admin"];

/**
 * Why a run's patch may not be put on the branch now by this person, or null if it may (I6). Whoever asked for the run does
 * not matter here, and neither does what the task allows.
 */
export function refuseApply(origin: PullRequestOrigin, actor: Actor, now: PullRequestNow): string | null {
  if (actor.type !== "User" || !rolesWithWrite.includes(now.role)) {
    return `${actor.login} has the role ${now.role} in this repository; write, maintain or admin is needed to apply a patch`;
  }
  if (!now.open) {
    return "the pull request is closed: reopen it first";
  }
  if (origin.fork || now.headRepositoryId !== origin.repository.id) {
    return "the head is in another repository, where Mayfly never pushes";
  }
  if (now.head !== origin.head) {
    return `the patch was made for ${origin.head}, and the head is now ${now.head}; nothing is forced: run the task again`;
  }
  return now.headRef === now.defaultBranch ? "the head is the default branch, which Mayfly never pushes to" : null;
}

/** The commit's message: our own words alone, with trailers that say what was approved, by which run and whom. */
export function patchMessage(run: RunId, origin: PullRequestOrigin, actor: Actor): string {
  return [
    "Apply the patch of a Mayfly run",
    "",
    "Written by a machine; a person pressed the button.",
    "",
    `Approved-SHA: ${origin.head}`,
    `Run: ${run}`,
    `Applied-By: ${actor.login}`,
    "",
  ].join("\n");
}
