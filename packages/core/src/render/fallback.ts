import { endingTexts } from "../ending.ts";
import { conclusions, type RenderedCheck } from "./check.ts";
import { commentMarker } from "./comment.ts";
import type { EndedRun } from "./receipt.ts";
import { codeSpan } from "./text.ts";

/**
 * What is shown of an ended run when its report cannot be made: a fixed text with nothing in it that came from anywhere but
 * here. The run's conclusion stays what it is.
 */
export function renderFallback({ id, ending }: EndedRun): { readonly check: RenderedCheck; readonly comment: string } {
  const { title } = endingTexts[ending.code];
  const summary = [
    `### ${title}`,
    "",
    "The report of this run is not shown: it could not be made safe (`E_FAILURE`). An operator finds it in the archive.",
    "",
    `Run: ${codeSpan(id)}`,
  ].join("\n");
  return {
    check: { status: "completed", conclusion: conclusions[ending.outcome], title, summary },
    comment: `${commentMarker(id)}\n\n${summary}`,
  };
}
