import { type EndedRun, type PullRequestOrigin, renderEarlier, type Run, type RunId, type Store } from "@mayfly/core";
import type { GatherFacts } from "../runs/facts.ts";
import type { StickyStore } from "../store/stickies.ts";
import { stickyName } from "./comment.ts";
import { wantsReview } from "./review.ts";

export interface EarlierDeps {
  readonly stickies: StickyStore;
  readonly loadRun: Store["loadRun"];
  readonly facts: GatherFacts;
  /** Where a person reads GitHub, for links: `github.com`. */
  readonly githubHost: string;
}

/** The run whose result the task's comment showed before this one's; null if there is none. Right before and after this run's is there. */
export async function earlierRun(
  { stickies }: Pick<EarlierDeps, "stickies">,
  run: Run,
  origin: PullRequestOrigin,
): Promise<RunId | null> {
  const shown = await stickies.results(stickyName(origin));
  return shown?.run === run.id ? shown.before : (shown?.run ?? null);
}

/**
 * What the task's comment showed before this run's result, to be folded below it. Made anew from that run's record, for a
 * comment on GitHub may have been edited by anybody who may write there. Undefined if there is none, or no record any more.
 *
 * @param options.withAnswer False where nothing but our own words may go out (I5): then it is the verdict alone.
 */
export async function readEarlier(
  deps: EarlierDeps,
  run: Run,
  origin: PullRequestOrigin,
  { withAnswer }: { readonly withAnswer: boolean },
): Promise<string | undefined> {
  const id = await earlierRun(deps, run, origin);
  const earlier = id === null ? undefined : (await deps.loadRun(id))?.value;
  if (earlier === undefined || (earlier.phase !== "done" && earlier.phase !== "publishing")) {
    return undefined;
  }
  const answer = withAnswer ? await answerOf(deps, earlier) : null;
  return renderEarlier(earlier, { repository: origin.repository, githubHost: deps.githubHost, answer });
}

/** A review's answer is data: its words are beside the lines. */
async function answerOf({ facts }: EarlierDeps, earlier: EndedRun): Promise<string | null> {
  const said = wantsReview(earlier) ? null : (await facts(earlier)).result?.final_message;
  return said?.state === "present" ? said.text : null;
}
