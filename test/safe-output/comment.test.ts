import { outcomes } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { renderFallback } from "../../packages/core/src/render/fallback.ts";
import { endedRun, endings, reportInput } from "../../packages/core/src/render/run.fixture.ts";
import { bodiesOf, infested, liveRun, problemsOf } from "./bodies.ts";
import { corpus } from "./corpus.ts";

/** Attacks of size are judged once, alone: inside others they cost time and show nothing new. */
const small = corpus.filter((text) => text.length < 3_500);
const succeeded = endedRun(endings.succeeded);

describe("every body that GitHub is given, as another parser reads it", () => {
  it("has no life but its own frame when the answer is an attack", () => {
    const found = small.flatMap((text) => problemsOf(bodiesOf(succeeded, reportInput(text))).map((one) => [text, one]));
    expect(found).toEqual([]);
  });

  it("keeps within its bounds when the answer is an attack of size", () => {
    const big = corpus.filter((text) => text.length >= 3_500);
    expect(big.length).toBeGreaterThan(5);
    expect(big.flatMap((text) => problemsOf(bodiesOf(succeeded, reportInput(text))))).toEqual([]);
  });

  it.each(outcomes)(
    "has no life but its own frame when every text in the record of a run that %s is an attack",
    (outcome) => {
      const run = { ...endedRun(endings[outcome]), resultDigest: succeeded.resultDigest };
      const found = small.flatMap((text) => {
        const bodies = bodiesOf(infested(run, text), infested(reportInput("Fine."), text));
        return problemsOf(bodies).map((one) => [text, one]);
      });
      expect(found).toEqual([]);
    },
  );

  it.each(["queued", "running", "destroying"] as const)(
    "has no life but its own frame while a run is %s and every text in its record is an attack",
    (phase) => {
      const run = liveRun(succeeded, phase);
      const found = small.flatMap((text) => {
        const bodies = bodiesOf(infested(run, text), infested(reportInput("Fine."), text));
        return problemsOf(bodies).map((one) => [text, one]);
      });
      expect(found).toEqual([]);
    },
  );

  it("is harmless where a fixed text stands for it, whatever the record says", () => {
    for (const text of small) {
      for (const outcome of outcomes) {
        const { check, comment } = renderFallback(infested(endedRun(endings[outcome]), text));
        expect(problemsOf({ titles: [check.title], markdown: [check.summary, comment] })).toEqual([]);
      }
    }
  });
});

describe("the judge of bodies", () => {
  it.each(["<b>", "@alice", "a\n/merge", "a\u200bb", "x".repeat(70_000), "a\n".repeat(2_000), "![a](b)", "##[group]x"])(
    "objects to %j",
    (text) => {
      expect(problemsOf({ titles: [], markdown: [text] })).not.toEqual([]);
    },
  );

  it.each(["a\nb", "a\u202eb", "x".repeat(256), ""])("objects to the title %j", (title) => {
    expect(problemsOf({ titles: [title], markdown: [] })).not.toEqual([]);
  });
});
