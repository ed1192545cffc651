import {
  type Clock,
  isProgressDue,
  type PullRequestOrigin,
  renderCheck,
  renderProgressComment,
  type ReportInput,
  type Run,
  type RunId,
} from "@mayfly/core";
import type { Logger } from "pino";
import { type GitHubApp, isFinal } from "../github/app.ts";
import { placeOf } from "../github/pull-requests.ts";
import type { ContentCount } from "../store/content.ts";
import { checkOf, ensureCheckRun } from "./check-run.ts";
import { ensureComment } from "./comment.ts";
import { type EarlierDeps, readEarlier } from "./earlier.ts";

export interface ProgressDeps extends EarlierDeps {
  readonly app: GitHubApp;
  readonly content: ContentCount;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a pull request shows of a run that has not ended: our own words alone (I5). */
export interface Progress {
  /**
   * The check run and the task's comment say where the run stands, as far as the task shows itself there. Does nothing
   * while there is nothing new, while it is too soon for more (`isProgressDue`), or while another run of the installation is
   * being shown: call it again. Idempotent.
   */
  ensureShown(run: Run): Promise<void>;
  /** It has ended: what was shown of it need not be remembered. */
  forget(run: RunId): void;
}

interface Shown {
  readonly words: string;
  readonly at: number;
}

/** What was shown is remembered in this process alone: one that starts anew shows it once more. */
export function createProgress(deps: ProgressDeps): Progress {
  const { app, content, clock } = deps;
  const shown = new Map<RunId, Shown>();
  // GitHub takes a write a second of an installation: many runs that begin at once would wait for each other's words.
  const busy = new Set<number>();
  return {
    async ensureShown(run) {
      const { origin, task } = run.request;
      const last = shown.get(run.id);
      const words = wordsOf(run);
      if (origin.kind === "local" || last?.words === words || !task.publish.some((one) => isShownIn.includes(one))) {
        return;
      }
      const { installation } = origin;
      if (busy.has(installation)) {
        return;
      }
      busy.add(installation);
      try {
        const contentUsed = await content.used(installation);
        if (isProgressDue({ shownAt: last?.at ?? null, contentUsed, now: clock.now() })) {
          const { id: appId } = await app.identity();
          await show(deps, appId, run, origin);
          remember(shown, run.id, { words, at: clock.now() });
        }
      } finally {
        busy.delete(installation);
      }
    },
    forget: (run) => void shown.delete(run),
  };
}

/** Runs whose progress is remembered: far more than there are at once. One that is forgotten is shown once more. */
const SHOWN_MAX = 10_000;

/** The oldest are forgotten first: another process may have published them. */
function remember(shown: Map<RunId, Shown>, run: RunId, now: Shown): void {
  shown.delete(run);
  shown.set(run, now);
  const [oldest] = shown.keys();
  if (shown.size > SHOWN_MAX && oldest !== undefined) {
    shown.delete(oldest);
  }
}

/** Where a person sees that a run goes on. A review or a patch is there at the end only. */
const isShownIn: readonly string[] = ["check", "comment"];

async function show(deps: ProgressDeps, appId: number, run: Run, origin: PullRequestOrigin): Promise<void> {
  const { publish } = run.request.task;
  const { app, stickies, clock, githubHost } = deps;
  const { repository } = origin;
  const now = clock.now();
  if (publish.includes("check")) {
    const content = renderCheck(run, { ...NOTHING_YET, repository, githubHost, now });
    await app.withClient("progress", placeOf(origin), (client) =>
      ensureCheckRun({ client, appId, check: checkOf(run, origin), content }),
    );
  }
  if (publish.includes("comment")) {
    const earlier = await readEarlier(deps, run, origin, { withAnswer: false });
    const body = renderProgressComment(run, { now, ...(earlier === undefined ? {} : { earlier }) });
    const shown = app.withClient("answer", placeOf(origin), (client) =>
      ensureComment({ client, stickies, appId, run, origin, body }),
    );
    await shown.catch((err: unknown) => {
      // A locked conversation, say. The run goes on, and its end says so if it lasts.
      if (!isFinal(err)) {
        throw err;
      }
      deps.log.warn({ run: run.id, err }, "progress cannot be shown in a comment");
    });
  }
}

const NOTHING_YET: Pick<ReportInput, "result" | "machines" | "spend" | "answer"> = {
  result: null,
  machines: [],
  spend: null,
  answer: null,
};

/** Changes when there is something new to say. */
function wordsOf(run: Run): string {
  return JSON.stringify([run.phase, Object.keys(run.times), run.phase === "queued" ? run.waitingFor : null]);
}
