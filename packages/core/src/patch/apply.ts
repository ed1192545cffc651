import type { RunId } from "../ids.ts";
import type { Actor, PullRequestOrigin } from "../run-request.ts";
import type { PatchMode } from "../task-spec.ts";

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
 * not matter here, and neither does what the task allows. A draft pull request has the same rules, as it asks for the same.
 */
export function refuseApply(
  origin: PullRequestOrigin,
  actor: Actor,
  now: PullRequestNow,
  { isDraft }: { readonly isDraft: boolean },
): string | null {
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
  return now.headRef === now.defaultBranch && !isDraft
    ? "the head is the default branch, which Mayfly never pushes to"
    : null;
}

/** Why this person may not turn a patch down, or null. The branch stays as it is, so nothing else matters. */
export function refuseDiscard(actor: Actor, role: string): string | null {
  return actor.type === "User" && rolesWithWrite.includes(role)
    ? null
    : `${actor.login} has the role ${role} in this repository; write, maintain or admin is needed to discard a patch`;
}

/** Between what was decided of a patch and the run's report below it. No report holds it: HTML comments are taken out. */
const DECIDED = "<!-- mayfly:patch -->";
/** GitHub's bound for the summary of a check run. */
const SUMMARY_CHARS_MAX = 65_535;

/** A check's summary with what was decided above the run's report, in place of what was decided before. */
export function withDecision(summary: string, words: string): string {
  const at = summary.indexOf(DECIDED);
  const report = at === -1 ? summary : summary.slice(at + DECIDED.length).trimStart();
  const whole = `${words}\n\n${DECIDED}\n\n${report}`;
  return whole.length <= SUMMARY_CHARS_MAX ? whole : words;
}

/** For whom a patch leaves the service, and whether it is a person that asked for it or a task's mode that does by itself. */
export interface PatchAsker {
  readonly actor: Actor;
  /** Where it is not a person, nobody has read it, and the actor asked for the run. */
  readonly by: "person" | Exclude<PatchMode, "patch">;
}

/** What a commit says of how it came to be. */
const asked: Readonly<Record<PatchAsker["by"], string>> = {
  person: "Written by a machine; a person asked for this commit.",
  commit: "Written by a machine and read by nobody; the task commits by itself.",
  "draft-pull-request": "Written by a machine and read by nobody; the task opens a draft pull request by itself.",
};

/** The commit's message: our own words alone, with trailers that say what was approved, by which run and whom. */
export function patchMessage(run: RunId, origin: PullRequestOrigin, { actor, by }: PatchAsker): string {
  return [
    "Apply the patch of a Mayfly run",
    "",
    asked[by],
    "",
    `Approved-SHA: ${origin.head}`,
    `Run: ${run}`,
    `Applied-By: ${actor.login}`,
    "",
  ].join("\n");
}
