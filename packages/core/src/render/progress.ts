import { assertNever } from "../assert.ts";
import { endingTexts } from "../ending.ts";
import type { Instant } from "../ids.ts";
import type { Run } from "../run.ts";
import { renderDuration } from "./duration.ts";
import { renderSteps } from "./steps.ts";
import { oneLine } from "./text.ts";

/** GitHub's limit for the title of a check. */
export const TITLE_CHARS_MAX = 255;

/** Where a run stands, on one line: phase, last step and time since it was asked for; the verdict once there is one. */
export function progressTitle(run: Run, now: Instant): string {
  switch (run.phase) {
    case "queued":
      return titled(`Queued: waiting for ${run.waitingFor}`, run, now);
    case "running":
      return titled(`Running: ${renderSteps(run).at(-1)?.name ?? "machine claimed"}`, run, now);
    case "destroying":
      return titled("Running: destroying the machine", run, now);
    case "publishing":
    case "done":
      return oneLine(endingTexts[run.ending.code].title, TITLE_CHARS_MAX);
    default:
      return assertNever(run);
  }
}

/** What has happened, a step a line, each with its time since the first. */
export function progressLines(run: Run): string[] {
  return renderSteps(run).map(({ name, offsetMs }) => `- ${name}: +${renderDuration(offsetMs)}`);
}

function titled(text: string, run: Run, now: Instant): string {
  const since = run.times.requested ?? run.createdAt;
  const time = ` · ${renderDuration(now - since)}`;
  return `${oneLine(text, TITLE_CHARS_MAX - time.length)}${time}`;
}
