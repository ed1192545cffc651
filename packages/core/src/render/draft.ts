import type { RunId } from "../ids.ts";
import type { PullRequestOrigin } from "../run-request.ts";
import { codeSpan } from "./text.ts";

/** Where runs put branches of their own: a repository may have rules for that name. */
const PREFIX = "codex/";

/** The branch of a run's draft pull request. Nobody knows a run's id before the run, so nobody else has taken it. */
export function draftBranch(run: RunId, { number }: Pick<PullRequestOrigin, "number">): string {
  return `${PREFIX}${number}-${run}`;
}

/**
 * What a draft pull request says of itself: our own words alone. What Codex wrote stands where its run was published.
 *
 * @param about.into The branch of the pull request that the patch was made for: hostile, whoever opened that one named it.
 * @param about.answer Where the run was published; null if nowhere that has an address.
 */
export function renderDraft(
  run: RunId,
  { number, head, label, actor }: PullRequestOrigin,
  { into, answer }: { readonly into: string; readonly answer: string | null },
): { readonly title: string; readonly body: string } {
  const said = answer === null ? "" : `, and said [there](${answer}) what it did`;
  return {
    title: `Codex's patch for #${number}`,
    body: [
      `Codex wrote this for #${number}${said}. No person has read it: look at every line before you merge it.`,
      `Merged, it is one commit on ${codeSpan(into)}, the branch of #${number}; that one stays open. ` +
        "Closed, it changes nothing, and its branch can be deleted.",
      [
        `- Task: ${codeSpan(label)}, asked for by ${codeSpan(actor.login)}`,
        `- Made for: ${head}`,
        `- Run: \`${run}\``,
      ].join("\n"),
    ].join("\n\n"),
  };
}
