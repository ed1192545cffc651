import type { PullRequestOrigin, Run, RunEvent } from "@mayfly/core";
import { after, eventsUntilPublishing } from "../attack/github-bench.ts";
import { type CommandBench, LABEL } from "../commands/bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { factsOf, publisherOf } from "../safe-output/publishing.ts";

export const by = { by: "maintainer" };

/** A task that shows what it knows of the change in its prompt, and answers with a review. */
export const REVIEW_TASK = `---
publish: [comment, check, review]
---

Review {{ changed-files }} and {{ diff-stat }}.
`;

/** A run, and where it is. */
export interface Found {
  readonly run: Run;
  readonly origin: PullRequestOrigin;
}

/** Labels a pull request and hands the delivery over. The run that it started; throws with why there is none. */
export async function label(bench: CommandBench, pull: PullView): Promise<Found> {
  await bench.github.addLabel(pull, LABEL, by);
  const record = await bench.handOver("pull_request", undefined, "labeled");
  const [found] = await bench.runsOn(pull);
  if (found === undefined) {
    throw new Error(`no run: ${record.state}, ${record.reason}`);
  }
  return found;
}

/** Why a run ended; its phase while it has not. */
export function endOf({ run }: Found): string {
  return "ending" in run ? `${run.ending.outcome} ${run.ending.code}: ${run.ending.detail}` : run.phase;
}

/** The part of a prompt between the marks of that name. */
export function blockOf({ run }: Found, name: string): string {
  const block = new RegExp(`^BEGIN \\w+ ${name}\\n([^]*?)\\nEND `, "m").exec(run.request.prompt);
  if (block === null) {
    throw new Error(`the prompt has no block ${name}: ${run.request.prompt}`);
  }
  return block[1] ?? "";
}

interface Finding {
  readonly path: string;
  readonly line: number;
  readonly title: string;
  readonly side?: "LEFT" | "RIGHT";
}

/** Has the run's machine answer with these findings and publishes that; the event, and the pull request afterwards. */
export async function publishReview(
  bench: CommandBench,
  { run, origin }: Found,
  pull: PullView,
  findings: readonly Finding[],
): Promise<{ event: RunEvent; pull: PullView; log: string }> {
  const text = JSON.stringify({
    summary: "It was looked at.",
    verdict: "minor_problems",
    findings: findings.map((finding) => ({
      start_line: null,
      side: null,
      severity: "high",
      body: "Look again.",
      suggestion: null,
      ...finding,
    })),
  });
  const said = { state: "present", text } as const;
  const facts = () => factsOf((result) => ({ ...result, final_message: said, structured: said }));
  const { publisher, log } = publisherOf(bench, facts);
  const event = await publisher.publish(after(run, eventsUntilPublishing(origin)));
  return { event, pull: bench.github.pullRequest(pull), log: log() };
}

/** Where the comments on lines of the newest review are. */
export function linesOf({ reviews }: PullView): string[] {
  return (reviews.at(-1)?.comments ?? []).map(({ path, line, side }) => `${path}:${line} ${side}`);
}
