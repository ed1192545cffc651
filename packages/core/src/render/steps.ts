import type { Instant } from "../ids.ts";
import { steps, type Run, type Step } from "../run.ts";

/** One moment of a run. */
export interface RenderedStep {
  readonly step: Step;
  /** In words. */
  readonly name: string;
  readonly at: Instant;
  /** Since the first step, ms. */
  readonly offsetMs: number;
}

/** What each step is called. */
export const stepNames = {
  requested: "asked for",
  queued: "queued",
  claimed: "machine claimed",
  source_ready: "source unpacked",
  strategy_applied: "confinement checked",
  key_lent: "key lent",
  codex_started: "Codex started",
  codex_exited: "Codex ended",
  key_dead: "key dead",
  result_posted: "result returned",
  machine_gone: "machine gone",
  published: "published",
} as const satisfies Record<Step, string>;

/** The steps of the present attempt that have happened, by time; those of the same moment in their usual order. */
export function renderSteps(run: Run): RenderedStep[] {
  const happened = steps
    .flatMap((step) => {
      const at = run.times[step];
      return at === undefined ? [] : [{ step, name: stepNames[step], at }];
    })
    .sort((a, b) => a.at - b.at);
  const first = happened[0]?.at ?? 0;
  return happened.map((one) => ({ ...one, offsetMs: one.at - first }));
}

/** From the first step to the end, or to the last step if it has not ended; ms. */
export function durationOf(run: Run): number {
  const happened = renderSteps(run);
  const end = run.phase === "done" ? run.endedAt : (happened.at(-1)?.at ?? run.createdAt);
  return Math.max(0, end - (happened[0]?.at ?? run.createdAt));
}
