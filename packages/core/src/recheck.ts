import { baseChanged, type Ending } from "./ending.ts";
import type { PullRequestFacts } from "./ports.ts";
import { isByLabel, type PullRequestOrigin } from "./run-request.ts";
import type { TaskSpec } from "./task-spec.ts";

/** Roles that may push, and so may start a run. */
const rolesWithWrite: readonly string[] = ["write", "maintain", "admin"];

/**
 * Whether what was approved still holds: asked again when a run is dispatched and when its result is published (I6).
 *
 * @returns Why the run must end, or null if it may go on.
 */
export function recheck(origin: PullRequestOrigin, task: TaskSpec, facts: PullRequestFacts): Ending | null {
  if (!facts.open) {
    return { outcome: "cancelled", code: "closed", detail: "the pull request is closed" };
  }
  if (facts.head !== origin.head) {
    return { outcome: "superseded", code: "pushed", detail: `the head is now ${facts.head}` };
  }
  if (origin.baseRef !== undefined && facts.baseRef !== origin.baseRef) {
    return baseChanged(facts.baseRef, origin.baseRef);
  }
  // Who asked on a draft wants the answer on a draft: only one that was made a draft since ends the run.
  if (task.onDraft === "cancel" && origin.draft === false && facts.draft) {
    return { outcome: "cancelled", code: "drafted", detail: "the pull request is a draft now" };
  }
  if (isByLabel(origin) && !facts.labelled) {
    return { outcome: "cancelled", code: "label_removed", detail: `the label ${origin.label} is no longer there` };
  }
  const { login, type } = origin.actor;
  const isListed = !origin.fork && task.allowUsers.some((name) => name.toLowerCase() === login.toLowerCase());
  if (type === "User" && !isListed && !rolesWithWrite.includes(facts.role)) {
    const detail = `${login} now has the role ${facts.role} in this repository; write, maintain or admin is needed`;
    return { outcome: "refused", code: "actor_lacks_write", detail };
  }
  return null;
}
