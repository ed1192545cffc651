import { describe, expect, it } from "vitest";
import { renderCheck } from "../../packages/core/src/render/check.ts";
import { renderComment } from "../../packages/core/src/render/comment.ts";
import type { EndedRun } from "../../packages/core/src/render/receipt.ts";
import { endedRun, endings, reportInput } from "../../packages/core/src/render/run.fixture.ts";
import { corpus } from "./corpus.ts";
import { findLive } from "./oracle.ts";

const small = corpus.filter((text) => text.length < 3_500);

/** The only HTML in a comment is the frame's own. */
const OURS = [
  "html <!-- mayfly:run=run_01kq3v9d5e0123456789 -->\n",
  "html <details>\n<summary>How this was run</summary>\n",
  "html </details>",
];

/** The run with one hostile text in every field that comes from GitHub, the guest or the host. */
function infested(run: EndedRun, text: string): EndedRun {
  const { request } = run;
  const origin = request.origin.kind === "pull_request" ? request.origin : null;
  if (origin === null || run.attempt === null) {
    throw new Error("the fixture is a pull request's run with an attempt");
  }
  const actor = { ...origin.actor, login: text };
  const checks = [{ name: text, ok: true, seen: text }];
  return {
    ...run,
    request: {
      ...request,
      origin: { ...origin, label: text, actor, role: text, head: text },
      task: { ...request.task, name: text, model: text, effort: text },
    },
    ending: { ...run.ending, detail: text },
    attempt: { ...run.attempt, gate: { safety_strategy: "unsafe", checks } },
    gone: run.gone.map((one) => ({ ...one, evidence: { at: 0, checks: [{ what: text, absent: true }] } })),
  };
}

describe("a whole comment, as another parser reads it", () => {
  it("has no life but its own frame when the answer is an attack", () => {
    for (const text of small) {
      expect(findLive(renderComment(endedRun(endings.succeeded), reportInput(text)))).toEqual(OURS);
    }
  });

  it("has no life but its own frame when every name and every message is an attack", () => {
    for (const text of small) {
      expect(findLive(renderComment(infested(endedRun(endings.failed), text), reportInput(null)))).toEqual(OURS);
    }
  });

  it("begins no line with a command that another bot would obey", () => {
    for (const text of small) {
      for (const run of [endedRun(endings.succeeded), infested(endedRun(endings.failed), text)]) {
        expect(renderComment(run, reportInput(text))).not.toMatch(/^\s*(?:\/[a-z]|::|@)|^##\[/im);
      }
    }
  });

  it("is as harmless as the summary of a check", () => {
    for (const text of small) {
      const check = renderCheck(endedRun(endings.succeeded), { ...reportInput(text), now: 0 });
      expect(findLive(check.summary)).toEqual(OURS.slice(1));
    }
  });
});
