import type { Outcome } from "../ending.ts";
import type { Instant } from "../ids.ts";
import type { Run } from "../run.ts";
import { howToStop } from "../run-request.ts";
import type { CheckAnnotation } from "./annotations.ts";
import { renderReport, type ReportInput } from "./comment.ts";
import { progressLines, progressTitle } from "./progress.ts";
import type { EndedRun } from "./receipt.ts";
import { renderStructured } from "./structured.ts";

/** A check run's conclusions that we use. */
export type Conclusion = "success" | "failure" | "cancelled" | "timed_out" | "skipped" | "action_required" | "neutral";

/** A check run as GitHub takes it. */
export interface RenderedCheck {
  readonly status: "queued" | "in_progress" | "completed";
  /** Null until it has ended. */
  readonly conclusion: Conclusion | null;
  /** Plain text on one line, at most 255 characters. */
  readonly title: string;
  /** Markdown, at most `limits.commentCharsMax`. */
  readonly summary: string;
  /** The details below it: as the summary. Not there if there are none. */
  readonly text?: string;
  /** GitHub adds those of each request to those before, and takes 50 at once. */
  readonly annotations?: readonly CheckAnnotation[];
  /** Buttons: GitHub takes three at most, with labels of 20, descriptions of 40 and identifiers of 20 characters. */
  readonly actions?: readonly { readonly label: string; readonly description: string; readonly identifier: string }[];
}

/** The button by which a person puts a run's patch on the branch. */
export const APPLY_PATCH = {
  label: "Apply patch",
  description: "Commit it to this branch",
  identifier: "apply_patch",
} as const;

/** The button by which a person says that a patch will not be taken. */
export const DISCARD_PATCH = {
  label: "Discard",
  description: "Leave the branch as it is",
  identifier: "discard_patch",
} as const;

/** The button that has the same task run again on the check's commit: what GitHub's own `Re-run` does, in sight. */
export const RUN_AGAIN = {
  label: "Run again",
  description: "Run this task again on this commit",
  identifier: "run_again",
} as const;

/**
 * An answer is a success, whatever it says: the check reports on the run, and grey would read as "nothing happened". It is
 * no approval, and nothing in the answer can change it. A superseded run is cancelled, since "stale" is GitHub's to set.
 */
export const conclusions = {
  succeeded: "success",
  failed: "failure",
  cancelled: "cancelled",
  superseded: "cancelled",
  timed_out: "timed_out",
  lost: "failure",
  refused: "skipped",
} as const satisfies Record<Outcome, Conclusion>;

/** The check of a run in any phase. The same input gives the same check, so an update that changes nothing can be skipped. */
export function renderCheck(run: Run, input: ReportInput & { readonly now: Instant }): RenderedCheck {
  const title = progressTitle(run, input.now);
  if (run.phase === "publishing" || run.phase === "done") {
    return {
      status: "completed",
      conclusion: conclusions[run.ending.outcome],
      title,
      summary: renderReport(run, input),
      ...(hasStructured(run)
        ? { text: renderStructured(input.result?.structured ?? null, run.request.task.outputSchema) }
        : {}),
    };
  }
  return {
    status: run.phase === "queued" ? "queued" : "in_progress",
    conclusion: null,
    title,
    summary: [...progressLines(run), "", howToStop(run.request)].join("\n").trimStart(),
  };
}

/** A review is shown as it reads, not as the data that it is. */
function hasStructured({ ending, request: { task } }: EndedRun): boolean {
  return ending.outcome === "succeeded" && task.outputSchema !== null && !task.publish.includes("review");
}
