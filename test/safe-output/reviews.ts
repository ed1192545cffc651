import type { PullRequestOrigin, Run, RunFacts } from "@mayfly/core";
import type { GitHubBench } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { factsOf, ready } from "./publishing.ts";

/** On the line that the pull request adds. */
export const finding = {
  path: "README.md",
  line: 3,
  start_line: null,
  side: null,
  severity: "high",
  title: "Too short",
  body: "Say more, @alice.",
  suggestion: "Much more.",
};

/** The fixture's facts with that answer. */
export function asReview(findings: readonly object[], summary = "It says more."): RunFacts {
  return factsOf((result) => {
    const text = JSON.stringify({ summary, verdict: "minor_problems", findings });
    return { ...result, final_message: { state: "present", text }, structured: { state: "present", text } };
  });
}

/** A run of a pull request of its own whose task publishes a review, and whose machine is gone. */
export async function wantingReview(
  bench: GitHubBench,
): Promise<{ run: Run; pull: PullView; origin: PullRequestOrigin }> {
  const { run, ...where } = await ready(bench);
  const task = { ...run.request.task, publish: ["comment", "check", "review"] as const };
  return { ...where, run: { ...run, request: { ...run.request, task } } };
}
