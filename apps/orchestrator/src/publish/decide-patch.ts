import {
  APPLY_PATCH,
  type Conclusion,
  DISCARD_PATCH,
  type EndedRun,
  isAppError,
  patchAtOnce,
  type PatchAsker,
  type PullRequestOrigin,
  refuseDiscard,
  RUN_AGAIN,
  type RunId,
  type Store,
  type Trigger,
  withDecision,
} from "@mayfly/core";
import type { Logger } from "pino";
import { type GitHubApp, isFinal } from "../github/app.ts";
import { placeOf } from "../github/pull-requests.ts";
import type { GatherFacts } from "../runs/facts.ts";
import { applyPatch, isApplied, lookAt } from "./apply-patch.ts";
import { draftPatch, findDraft } from "./draft-patch.ts";
import { whereOf } from "./make-commit.ts";

export interface PatchDeciderDeps {
  readonly app: GitHubApp;
  readonly loadRun: Store["loadRun"];
  readonly facts: GatherFacts;
  readonly log: Logger;
}

/** A person did; or their task does so by itself, in its own way. */
type Asked = Trigger & { kind: "apply" | "discard" } & { readonly by?: PatchAsker["by"] };

/** Decides on a patch, and says what became of it. */
export type DecidePatch = (asked: Asked) => Promise<string>;
/** How it is with a patch. */
type State = "waiting" | "applied" | "drafted" | "discarded";
type Decided =
  | { readonly kind: "applied"; readonly commit: string }
  | { readonly kind: "drafted"; readonly number: number; readonly url: string }
  | { readonly kind: "discarded" }
  | Refused;
/** It stays as it is. */
interface Refused {
  readonly kind: "refused";
  readonly why: string;
  readonly state: State;
}

/**
 * Puts the patch of an ended run on its pull request's branch as one commit, or turns it down for good, because a person
 * asked for that, or says on the check why not. Pressed twice it makes one commit, since the branch moves only from the
 * approved commit. That a patch was discarded is known by the check itself, which nobody but the App can change. Returns
 * what became of it, for the record of the delivery.
 */
export function createPatchDecider(deps: PatchDeciderDeps): DecidePatch {
  // A delivery that takes long is woken again meanwhile, every second: the second call waits for the first.
  const underWay = new Map<string, Promise<string>>();
  return (asked) => {
    const key = `${asked.kind}/${asked.externalId}/${asked.checkRunId}/${asked.actor.id}`;
    const deciding = underWay.get(key) ?? decideOnce(deps, asked).finally(() => underWay.delete(key));
    underWay.set(key, deciding);
    return deciding;
  };
}

async function decideOnce(deps: PatchDeciderDeps, asked: Asked): Promise<string> {
  const run = (await deps.loadRun(asked.externalId as RunId))?.value;
  const origin = run?.request.origin;
  const isOurs =
    run?.phase === "done" &&
    origin?.kind === "pull_request" &&
    origin.installation === asked.installation &&
    origin.repository.id === asked.repositoryId &&
    run.publication.checkRunId === asked.checkRunId;
  if (!isOurs) {
    return "the check is of no run whose patch is kept";
  }
  const check = await readCheck(deps.app, asked.checkRunId, origin);
  if (asked.by !== undefined && !check.isWaiting) {
    return "it was decided on before, or there is nothing to decide";
  }
  const decided = await decide(deps, { run, origin, asked, check }).catch(refusedByGitHub);
  await show(deps, { origin, asked, check, decided });
  deps.log.info({ run: run.id, actor: asked.actor.login, asked: asked.kind, ...decided }, "a patch was decided on");
  switch (decided.kind) {
    case "applied":
      return `the patch is commit ${decided.commit}`;
    case "drafted":
      return `the patch is pull request #${decided.number}`;
    case "discarded":
      return "the patch is discarded";
    default:
      return `not ${done[asked.kind]}: ${decided.why}`;
  }
}

const done = { apply: "applied", discard: "discarded" } as const;

/** GitHub's last word, such as a protected branch or a permission the App was not given; what may pass is thrown on. */
function refusedByGitHub(error: unknown): Decided {
  if (!isFinal(error)) {
    throw error;
  }
  return refused(`${error.message}. ${error.fix}`, "waiting");
}

function refused(why: string, state: State): Refused {
  return { kind: "refused", why, state };
}

/** The check as it stands on GitHub. */
interface Check {
  readonly isDiscarded: boolean;
  readonly isWaiting: boolean;
  readonly summary: string;
}

function readCheck(app: GitHubApp, checkRunId: number, origin: PullRequestOrigin): Promise<Check> {
  return app.withClient("progress", placeOf(origin), async (client) => {
    const { data } = await client.request("GET /repos/{owner}/{repo}/check-runs/{check_run_id}", {
      ...whereOf(origin),
      check_run_id: checkRunId,
    });
    const { conclusion } = data;
    return {
      isDiscarded: conclusion === DISCARDED,
      isWaiting: conclusion === checkIn.waiting.conclusion,
      summary: data.output.summary ?? "",
    };
  });
}

/** No other check of ours ends so. */
const DISCARDED: Conclusion = "neutral";

interface Question {
  readonly run: EndedRun;
  readonly origin: PullRequestOrigin;
  readonly asked: Asked;
  readonly check: Check;
}

async function decide(deps: PatchDeciderDeps, { run, origin, asked, check }: Question): Promise<Decided> {
  if (asked.kind === "discard") {
    return (await refuseDrafted(deps, run, origin)) ?? discard(deps, { run, origin, asked, check });
  }
  if (check.isDiscarded) {
    return refused("it was discarded: run the task again for another", "discarded");
  }
  const { actor, by = "person" } = asked;
  const decided =
    by === "draft-pull-request"
      ? await draftPatch(deps, run, origin, actor)
      : ((await refuseDrafted(deps, run, origin)) ?? (await applyPatch(deps, run, origin, { actor, by })));
  return decided.kind === "refused" ? { state: "waiting", ...decided } : decided;
}

/** A patch goes one way: what is a draft pull request is not put on the branch beside it, nor turned down here. */
async function refuseDrafted(
  { app }: PatchDeciderDeps,
  run: EndedRun,
  origin: PullRequestOrigin,
): Promise<Refused | null> {
  if (patchAtOnce(run.request.task) !== "draft-pull-request") {
    return null;
  }
  const { slug } = await app.identity();
  const draft = await app.withClient("read", placeOf(origin), (client) => findDraft(client, { run, origin, slug }));
  return draft === null ? null : refused(`it is pull request #${draft.number}: merge or close that one`, "drafted");
}

async function discard({ app }: PatchDeciderDeps, { run, origin, asked, check }: Question): Promise<Decided> {
  return app.withClient("read", placeOf(origin), async (client) => {
    const now = await lookAt(client, origin, asked.actor);
    const why = refuseDiscard(asked.actor, now.role);
    if (why !== null) {
      return refused(why, check.isDiscarded ? "discarded" : "waiting");
    }
    return (await isApplied(client, origin, run.id, now.head))
      ? refused(`it is on the branch already, as ${now.head}: revert that commit`, "applied")
      : { kind: "discarded" };
  });
}

/** Above what the check says already, which is the run's report: a machine's words go out as a publication (I5). */
async function show(
  { app, log }: PatchDeciderDeps,
  { origin, asked, check, decided }: Omit<Question, "run"> & { readonly decided: Decided },
): Promise<void> {
  const { title, words, conclusion, actions } = outcomeOf(asked, decided);
  try {
    await app.withClient("publish", placeOf(origin), (client) =>
      client.request("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}", {
        ...whereOf(origin),
        check_run_id: asked.checkRunId,
        status: "completed",
        conclusion,
        output: { title, summary: withDecision(check.summary, words) },
        actions: actions.map((action) => ({ ...action })),
      }),
    );
  } catch (error) {
    if (!isAppError(error) || error.retryable) {
      throw error;
    }
    log.warn({ err: error }, "what became of a patch could not be said on its check");
  }
}

type Button = typeof APPLY_PATCH | typeof DISCARD_PATCH | typeof RUN_AGAIN;

function outcomeOf(
  { kind, actor, by: how = "person" }: Asked,
  decided: Decided,
): { title: string; words: string; conclusion: Conclusion; actions: readonly Button[] } {
  const by = `\`${actor.login}\``;
  const what = how === "draft-pull-request" ? "opened as a draft pull request" : done[kind];
  switch (decided.kind) {
    case "applied":
      return {
        title: `Patch applied as ${decided.commit.slice(0, 7)}`,
        words: `**The patch is on the branch** as ${decided.commit}, ${how === "person" ? `applied by ${by}` : `by the task itself, for ${by}`}.`,
        ...checkIn.applied,
      };
    case "drafted":
      return {
        title: `Patch opened as #${decided.number}`,
        words: `**The patch is [pull request #${decided.number}](${decided.url})**, a draft, opened by the task itself for ${by}. It goes into the branch of this one.`,
        ...checkIn.drafted,
      };
    case "discarded":
      return {
        title: "Patch discarded",
        words: `**The patch was discarded** by ${by}. The branch is as it was.`,
        ...checkIn.discarded,
      };
    default:
      return {
        title: `The patch was not ${what}`,
        words: `**The patch was not ${what}**, which ${how === "person" ? `${by} asked for` : `the task does for ${by}`}: ${decided.why}.`,
        ...checkIn[decided.state],
      };
  }
}

/** After a commit of ours the check's own commit is no longer the head: nothing is left to press. */
const checkIn: Readonly<Record<State, { conclusion: Conclusion; actions: readonly Button[] }>> = {
  waiting: { conclusion: "action_required", actions: [APPLY_PATCH, DISCARD_PATCH, RUN_AGAIN] },
  applied: { conclusion: "success", actions: [] },
  drafted: { conclusion: "success", actions: [RUN_AGAIN] },
  discarded: { conclusion: DISCARDED, actions: [RUN_AGAIN] },
};
