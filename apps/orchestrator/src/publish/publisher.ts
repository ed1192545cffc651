import {
  type Clock,
  type EndedRun,
  findSecrets,
  isAppError,
  type Publication,
  type PullRequestOrigin,
  renderCheck,
  renderComment,
  type ReportInput,
  type Run,
  type RunEvent,
  type RunFacts,
  type Store,
} from "@mayfly/core";
import type { Logger } from "pino";
import type { GitHubApp } from "../github/app.ts";
import { placeOf } from "../github/pull-requests.ts";
import type { GatherFacts } from "../runs/facts.ts";
import type { RecheckRun } from "../runs/recheck-run.ts";
import type { StickyStore } from "../store/stickies.ts";
import { ensureCheckRun } from "./check-run.ts";
import { ensureComment } from "./comment.ts";
import { ensureLabelRemoved } from "./label.ts";

export interface PublisherDeps {
  readonly app: GitHubApp;
  readonly facts: GatherFacts;
  readonly stickies: StickyStore;
  readonly recheck: RecheckRun;
  readonly listLiveRuns: Store["listLiveRuns"];
  /** Where a person reads GitHub, for links: `github.com`. */
  readonly githubHost: string;
  /** Values that must never appear anywhere: the model credential, the webhook secrets. */
  readonly secrets: () => readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Puts what a run has to say on its pull request. */
export interface Publisher {
  /** Our own words on the check run while the run lives. Skipped while nothing but time has passed. */
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
  const shown = new Map<string, string>();
  return {
    async ensureProgress(run) {
      const { origin } = run.request;
      const words = wordsOf(run);
      const isShown = origin.kind === "pull_request" && run.request.task.publish.includes("check");
      if (!isShown || shown.get(run.id) === words) {
        return;
      }
      const { id: appId } = await deps.app.identity();
      const content = renderCheck(run, inputOf(deps, origin, NOTHING_YET));
      await deps.app.withClient("progress", placeOf(origin), (client) =>
        ensureCheckRun({ client, appId, run, origin, content }),
      );
      shown.set(run.id, words);
    },
    async publish(run) {
      const { origin } = run.request;
      if (origin.kind === "local" || run.phase !== "publishing") {
        return published(NOWHERE);
      }
      const ending = showing.includes(run.ending.outcome) ? await deps.recheck(run) : null;
      if (ending !== null) {
        return { type: "ending_changed", ending };
      }
      const facts = await deps.facts(run);
      if (isWithheld(run, facts, deps.secrets())) {
        const detail = "it contains what looks like a credential";
        return { type: "ending_changed", ending: { outcome: "failed", code: "answer_withheld", detail } };
      }
      const publication = await put(deps, run, origin, facts);
      shown.delete(run.id);
      return published(publication);
    },
    async cleanUp(run) {
      const { origin } = run.request;
      if (origin.kind === "local" || (await isLabelTaken(deps, run, origin))) {
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
      origin.repository.id === own.repository.id &&
      origin.number === own.number &&
      origin.label === own.label
    );
  });
}

const NOTHING_YET: RunFacts = { result: null, machines: [] };
const NOWHERE: Publication = { kind: "none", url: null, commentId: null, checkRunId: null };

async function put(
  deps: PublisherDeps,
  run: EndedRun,
  origin: PullRequestOrigin,
  facts: RunFacts,
): Promise<Publication> {
  const { app, stickies } = deps;
  const { publish } = run.request.task;
  const { id: appId } = await app.identity();
  const input = inputOf(deps, origin, facts);
  const content = renderCheck(run, input);
  const body = renderComment(run, input);
  return app.withClient("publish", placeOf(origin), async (client) => {
    const check = publish.includes("check") ? await ensureCheckRun({ client, appId, run, origin, content }) : null;
    // The one comment of the task is the newer run's by now.
    const comment =
      publish.includes("comment") && run.ending.code !== "newer_run"
        ? await ensureComment({ client, stickies, appId, run, origin, body })
        : null;
    const url = comment?.url ?? check?.url ?? null;
    const kind = comment === null ? "check" : "comment";
    return { kind, url, commentId: comment?.id ?? null, checkRunId: check?.id ?? null };
  });
}

function inputOf(deps: PublisherDeps, origin: PullRequestOrigin, facts: RunFacts): ReportInput & { now: number } {
  const { githubHost, clock } = deps;
  const message = facts.result?.final_message;
  const answer = message?.state === "present" ? message.text : null;
  return { ...facts, answer, repository: origin.repository, githubHost, now: clock.now() };
}

/** What the agent wrote holds something that must not be shown: all of it stays away, since a part may be hidden better. */
function isWithheld(run: EndedRun, facts: RunFacts, secrets: readonly string[]): boolean {
  if (facts.result === null || run.ending.code === "answer_withheld") {
    return false;
  }
  const { final_message: answer, structured, codex } = facts.result;
  const texts = [answer, structured].flatMap((part) => (part?.state === "present" ? [part.text] : []));
  return [...texts, codex.error ?? ""].some((text) => findSecrets(text, secrets).length > 0);
}

/** Changes when there is something new to say. */
function wordsOf(run: Run): string {
  return JSON.stringify([run.phase, Object.keys(run.times), run.phase === "queued" ? run.waitingFor : null]);
}

function published(publication: Publication): RunEvent {
  return { type: "published", publication };
}
