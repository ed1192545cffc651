import type { Outcome } from "../ending.ts";
import type { Instant } from "../ids.ts";
import type { Run } from "../run.ts";
import { renderReport, type ReportInput } from "./comment.ts";
import { progressTitle } from "./progress.ts";
import { renderDuration } from "./duration.ts";
import { renderSteps } from "./steps.ts";

/** A check run's conclusions that we use. */
export type Conclusion = "success" | "failure" | "cancelled" | "timed_out" | "skipped";

/** A check run as GitHub takes it. */
export interface RenderedCheck {
  readonly status: "queued" | "in_progress" | "completed";
  /** Null until it has ended. */
  readonly conclusion: Conclusion | null;
  /** Plain text on one line, at most 255 characters. */
  readonly title: string;
  /** Markdown, at most `limits.commentCharsMax`. */
  readonly summary: string;
}

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
    };
  }
  const happened = renderSteps(run).map(({ name, offsetMs }) => `- ${name}: +${renderDuration(offsetMs)}`);
  return {
    status: run.phase === "queued" ? "queued" : "in_progress",
    conclusion: null,
    title,
    summary: [...happened, "", "To stop it, remove the label."].join("\n").trimStart(),
  };
}
