import {
  type Activity,
  APPLY_PATCH,
  countRemoved,
  DISCARD_PATCH,
  type EndedRun,
  isAppError,
  isByLabel,
  type PatchCheck,
  patchAtOnce,
  type Publication,
  type PullRequestOrigin,
  readActivity,
  renderActivity,
  renderAnnotations,
  renderCheck,
  type RenderedCheck,
  renderComment,
  renderFallback,
  renderPatch,
  renderWholePatch,
  type ResultStore,
  type Review,
  reviewText,
  sayMisfit,
  structuredMisfit,
  RUN_AGAIN,
  type ReportInput,
  type RuleCounts,
  type Run,
  type RunEvent,
  type RunFacts,
  type RunId,
  type SecretHit,
  type Store,
  withheldEnding,
} from "@mayfly/core";
import { placeOf } from "../github/pull-requests.ts";
import type { RecheckRun } from "../runs/recheck-run.ts";
import { checkOf, ensureCheckRun } from "./check-run.ts";
import { ensureComment, stickyName } from "./comment.ts";
import { earlierRun, readEarlier } from "./earlier.ts";
import { foldFindings, readFindings } from "./fold-findings.ts";
import { ensureLabelRemoved } from "./label.ts";
import { readPatch } from "./patch.ts";
import { createProgress, type ProgressDeps } from "./progress.ts";
import {
  ensureReview,
  type PublicReview,
  type ReadReview,
  readReview,
  readSuggestions,
  wantsReview,
} from "./review.ts";
import { saidByMachine } from "./said-by-machine.ts";

export interface PublisherDeps extends ProgressDeps {
  readonly recheck: RecheckRun;
  readonly readEvents: ResultStore["readEvents"];
  readonly listLiveRuns: Store["listLiveRuns"];
  /**
   * Looks for credentials of ours, wherever they are held, and for anything that looks like one. Of those that are made
   * for one attempt, only this run's are looked for: no other ever had a way to it.
   */
  readonly findSecrets: (texts: readonly string[], run: RunId) => Promise<readonly SecretHit[]>;
}

/** Puts what a run has to say on its pull request. */
export interface Publisher {
  /** Our own words while the run lives: `Progress`. */
  ensureProgress(run: Run): Promise<void>;
  /**
   * The result, or why there is none. Called only once every machine of the run is gone (I5). Answers with what became
   * of it: published, or a changed ending, and then it is called again. Idempotent.
   */
  publish(run: Run): Promise<RunEvent>;
  /**
   * The label is off once its run has ended, unless it is a newer run's by now. Apart from `publish`, since the label's
   * absence means "cancelled" until the publication is on record. Idempotent; gives up where GitHub refuses for good.
   */
  cleanUp(run: Run): Promise<void>;
}

/** Endings that show what the agent wrote: what they rest on is asked for once more before anything is shown. */
const showing: readonly string[] = ["succeeded", "failed", "timed_out"];

export function createPublisher(deps: PublisherDeps): Publisher {
  const progress = createProgress(deps);
  return {
    ensureProgress: (run) => progress.ensureShown(run),
    async publish(run) {
      const { origin } = run.request;
      if (origin.kind === "local" || run.phase !== "publishing") {
        return published(NOWHERE);
      }
      const facts = await deps.facts(run);
      // Before it is asked where the head is: the diff was the approved one's if the head still is.
      const review = await readReview(deps.app, run, origin, facts);
      const patch = await readPatch(deps.app, run, origin, facts);
      const suggestions = wantsReview(run) ? null : await readSuggestions(deps.app, origin, patch);
      const ending = showing.includes(run.ending.outcome) ? await deps.recheck(run) : null;
      if (ending !== null) {
        return { type: "ending_changed", ending };
      }
      const activity = await activityOf(deps, run);
      const hits = await secretsIn(deps, run, facts, activity);
      if (hits.length > 0) {
        return { type: "ending_changed", ending: withheldEnding(hits) };
      }
      const publication = await put(deps, run, { origin, facts, review, suggestions, patch, activity });
      progress.forget(run.id);
      return published(publication);
    },
    async cleanUp(run) {
      const { origin } = run.request;
      if (origin.kind === "local" || !isByLabel(origin) || (await isLabelTaken(deps, run, origin))) {
        return;
      }
      try {
        await deps.app.withClient("publish", placeOf(origin), (client) => ensureLabelRemoved(client, origin));
      } catch (error) {
        if (!isAppError(error) || error.retryable) {
          throw error;
        }
        deps.log.warn({ run: run.id, err: error }, "the label could not be removed");
      }
    },
  };
}

/** Somebody added the label again meanwhile: it belongs to the newer run, which ends when it goes. */
async function isLabelTaken(deps: PublisherDeps, run: Run, own: PullRequestOrigin): Promise<boolean> {
  return (await deps.listLiveRuns()).some(({ id, phase, request: { origin } }) => {
    return (
      id !== run.id &&
      phase !== "done" &&
      origin.kind === "pull_request" &&
      isByLabel(origin) &&
      origin.repository.id === own.repository.id &&
      origin.number === own.number &&
      origin.label === own.label
    );
  });
}

const NOWHERE: Publication = { kind: "none", url: null, commentId: null, checkRunId: null };

/** What is put out beside the answer, where the task asks for it. */
interface Said {
  readonly review: ReadReview<Review> | null;
  /** Only where there is no review: a run makes one at most. */
  readonly suggestions: ReadReview | null;
  readonly patch: PatchCheck | null;
  readonly activity: Activity;
}

async function put(
  deps: PublisherDeps,
  run: EndedRun,
  {
    origin,
    facts,
    review: answer,
    suggestions: suggested,
    patch,
    activity,
  }: Said & { origin: PullRequestOrigin; facts: RunFacts },
): Promise<Publication> {
  const { app, stickies } = deps;
  const { publish } = run.request.task;
  const { id: appId, slug } = await app.identity();
  const scope = { repository: origin.repository, githubHost: deps.githubHost };
  const earlier = await readEarlier(deps, run, origin, { withAnswer: true });
  return app.withClient("publish", placeOf(origin), async (client) => {
    const warn = (err: unknown) => {
      deps.log.warn({ run: run.id, err }, "comments of earlier reviews are not folded");
      return null;
    };
    const speaksOnLines = answer !== null || (origin.fork && patch !== null && !wantsReview(run));
    const standing = speaksOnLines ? await readFindings({ client, slug, run, origin }).catch(warn) : null;
    const common = { client, slug, run, origin, standing, scope };
    const review = answer === null ? null : await ensureReview({ ...common, read: answer });
    const suggestions = suggested === null ? null : await ensureReview({ ...common, read: suggested });
    const published = { review, suggestions, patch, activity, earlier };
    const { content, body, removed } = reportOf(deps, run, origin, { ...facts, ...published });
    // The one comment of the task is the newer run's by now.
    const wantsComment = publish.includes("comment") && run.ending.code !== "newer_run";
    // A patch's button is on the check; and no run ends unseen: what has nothing else to show has a check.
    const wantsCheck = publish.includes("check") || patch !== null || (review === null && !wantsComment);
    const check = wantsCheck ? await ensureCheckRun({ client, appId, check: checkOf(run, origin), content }) : null;
    const comment = wantsComment ? await ensureComment({ client, stickies, appId, run, origin, body }) : null;
    if (comment !== null) {
      await stickies.setResults(stickyName(origin), { run: run.id, before: await earlierRun(deps, run, origin) });
    }
    if (standing !== null) {
      const kept = (review ?? suggestions)?.kept ?? [];
      await foldFindings(
        client,
        standing.earlier.filter((one) => !kept.includes(one)),
      ).catch(warn);
    }
    const url = comment?.url ?? review?.url ?? check?.url ?? null;
    return {
      kind: kindOf(comment, review),
      url,
      commentId: comment?.id ?? null,
      checkRunId: check?.id ?? null,
      removed,
    };
  });
}

function kindOf(comment: object | null, review: object | null): Publication["kind"] {
  return comment !== null ? "comment" : review !== null ? "review" : "check";
}

/** What the report speaks of beside the run itself. */
interface Published extends Omit<Said, "review" | "suggestions"> {
  readonly review: PublicReview<Review> | null;
  readonly suggestions: PublicReview | null;
  /** The result before this one, as it is folded in the comment. */
  readonly earlier: string | undefined;
}

/** What goes out. A fault in the making of it costs the report: it must neither show what was to be shown nor keep a run from ending. */
function reportOf(
  deps: PublisherDeps,
  run: EndedRun,
  origin: PullRequestOrigin,
  { review, suggestions, patch, activity, earlier, ...facts }: RunFacts & Published,
): { content: RenderedCheck; body: string; removed: RuleCounts } {
  try {
    const plain = inputOf(deps, origin, facts);
    const worked = { ...plain, activity: renderActivity(activity, plain) };
    const said =
      patch === null
        ? worked
        : {
            ...worked,
            patch: renderPatch(patch, {
              ...origin,
              atOnce: patchAtOnce(run.request.task),
              suggestions: suggestions?.url ?? null,
            }),
          };
    const input = { ...said, answer: answerOf(run, said, review) };
    const check = withPatch(renderCheck(run, input), origin, patch);
    const content = review === null ? check : { ...check, annotations: renderAnnotations(review.read.review) };
    const commented = earlier === undefined ? input : { ...input, earlier };
    return { content, body: renderComment(run, commented), removed: countRemoved(run, commented) };
  } catch (error) {
    // Its message and its trace may quote what the machine said.
    const kind = error instanceof Error ? error.name : typeof error;
    deps.log.error(
      { run: run.id, kind, code: "E_FAILURE" },
      "a report could not be made, and a fixed text stands for it",
    );
    const { check, comment } = renderFallback(run);
    return { content: check, body: comment, removed: { E_FAILURE: 1 } };
  }
}

/**
 * What a person may do about it. A patch that waits is theirs to decide; on a fork nobody can put it on the branch from
 * here, and the details have it to be taken over by hand. Everything may be run again, whoever ended it.
 */
function withPatch(content: RenderedCheck, { fork }: PullRequestOrigin, patch: PatchCheck | null): RenderedCheck {
  const isThere = patch?.ok === true && patch.files.length > 0 && content.conclusion === "success";
  if (isThere && !fork) {
    return { ...content, conclusion: "action_required", actions: [APPLY_PATCH, DISCARD_PATCH, RUN_AGAIN] };
  }
  const text = content.text ?? (isThere ? renderWholePatch(patch.files) : null);
  return { ...content, ...(text === null ? {} : { text }), actions: [RUN_AGAIN] };
}

const SHAPELESS = "No line is commented on: the answer does not have the shape of a review.";

/**
 * What stands in the comment and the check: a review's words, never its JSON; otherwise the answer, with what is wrong with it
 * above. Still hostile.
 */
function answerOf(
  run: EndedRun,
  { answer, result }: Pick<ReportInput, "answer" | "result">,
  published: PublicReview<Review> | null,
): string | null {
  if (published !== null) {
    const { review, placed } = published.read;
    return `${reviewText(review, placed)}\n\n[The review](${published.url})`;
  }
  if (answer === null || run.ending.outcome !== "succeeded") {
    return answer;
  }
  const misfit = structuredMisfit(run.request.task.outputSchema, result?.structured);
  const wrong = [
    ...(wantsReview(run) && misfit === null ? [SHAPELESS] : []),
    ...(misfit === null ? [] : [`The answer does not fit the task's output schema: ${sayMisfit(misfit)}.`]),
  ];
  return [...wrong.map((words) => `**${words}**`), answer].join("\n\n");
}

function inputOf(deps: PublisherDeps, origin: PullRequestOrigin, facts: RunFacts): ReportInput & { now: number } {
  const { githubHost, clock } = deps;
  const message = facts.result?.final_message;
  const answer = message?.state === "present" ? message.text : null;
  return { ...facts, answer, repository: origin.repository, githubHost, now: clock.now() };
}

/** How Codex worked, where it is shown: with an answer. */
async function activityOf({ readEvents }: PublisherDeps, run: EndedRun): Promise<Activity> {
  return readActivity(run.ending.outcome === "succeeded" ? await readEvents(run.id, run.epoch) : []);
}

/** What must not be shown, wherever the machine said it. One hit keeps all of it away, since a part may be hidden better. */
async function secretsIn(
  deps: PublisherDeps,
  run: EndedRun,
  facts: RunFacts,
  activity: Activity,
): Promise<readonly SecretHit[]> {
  // What an ending of this code shows did not come from the machine.
  const said = run.ending.code === "answer_withheld" ? [] : saidByMachine(run, facts, activity);
  return said.length === 0 ? [] : await deps.findSecrets(said, run.id);
}

function published(publication: Publication): RunEvent {
  return { type: "published", publication };
}
