import { endingTexts } from "../ending.ts";
import { makeSafe } from "../safe-output/make-safe.ts";
import type { LinkScope } from "../safe-output/links.ts";
import type { EndedRun } from "./receipt.ts";
import { codeSpan, quote } from "./text.ts";

/** Room for what an earlier run answered: the newer one's answer is what a person came for. */
const CHARS_MAX = 5_000;
const LINES_MAX = 100;

/**
 * What the task's comment showed before this run's: the verdict of the run before it, and its answer, folded. At most
 * some 6,000 characters. The same input gives the same text.
 *
 * @param input.answer The final message as Codex wrote it, if that run showed one: hostile, made safe here.
 */
export function renderEarlier(run: EndedRun, input: LinkScope & { readonly answer: string | null }): string {
  const { repository, githubHost, answer } = input;
  const { origin } = run.request;
  const head = origin.kind === "pull_request" ? ` on ${codeSpan(origin.head.slice(0, HEAD_CHARS))}` : "";
  const shown =
    run.ending.outcome === "succeeded" && answer !== null
      ? [quote(makeSafe(answer, { repository, githubHost, charsMax: CHARS_MAX, linesMax: LINES_MAX }).markdown)]
      : [];
  return [
    "<details>\n<summary>The result before this one</summary>",
    `**${endingTexts[run.ending.code].title}**${head}. Run ${codeSpan(run.id)}.`,
    ...shown,
    "</details>",
  ].join("\n\n");
}

const HEAD_CHARS = 7;
