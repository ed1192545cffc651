import { describe, expect, it } from "vitest";
import { outcomes } from "../ending.ts";
import { renderCheck } from "./check.ts";
import { endedRun, endings, reportInput } from "./run.fixture.ts";
import type { Run } from "../run.ts";

const base = endedRun(endings.succeeded);
const now = base.createdAt + 130_000;

function inPhase(phase: object): Run {
  const { schema, id, request, createdAt, epoch, times, gone, modelCalls, attempt } = base;
  const source = { head: "a", base: null, merge_base: null, shallow: [], pack_bytes: 0, pack_sha256: "" };
  return {
    schema,
    id,
    request,
    createdAt,
    epoch,
    times,
    gone,
    modelCalls,
    attempt,
    source,
    ...phase,
  } as unknown as Run;
}

describe("the check of a run", () => {
  it.each([
    ["succeeded", "success"],
    ["failed", "failure"],
    ["cancelled", "cancelled"],
    ["superseded", "cancelled"],
    ["timed_out", "timed_out"],
    ["lost", "failure"],
    ["refused", "skipped"],
  ] as const)("ends a run that %s as %s", (outcome, conclusion) => {
    const check = renderCheck(endedRun(endings[outcome]), { ...reportInput(null), now });
    expect(check).toMatchObject({ status: "completed", conclusion });
  });

  it("has a title of one line of at most 255 characters in every phase", () => {
    const runs = [
      ...outcomes.map((outcome) => endedRun(endings[outcome])),
      inPhase({ phase: "queued", since: now, waitingFor: `a\n${"x".repeat(1_000)}` }),
      inPhase({ phase: "running" }),
      inPhase({ phase: "destroying", ending: endings.succeeded, resultDigest: null }),
    ];
    for (const run of runs) {
      const { title } = renderCheck(run, { ...reportInput(null), now });
      expect(title).toMatch(/^[^\n]{1,255}$/);
    }
  });

  it("says where a running run stands", () => {
    const check = renderCheck(inPhase({ phase: "running" }), { ...reportInput(null), now });
    expect(check).toMatchObject({ status: "in_progress", conclusion: null, title: "Running: machine gone · 2m 10s" });
    expect(check.summary).toContain("- key lent: +7s");
  });

  it("shows nothing of an answer while the run goes on", () => {
    const check = renderCheck(inPhase({ phase: "running" }), { ...reportInput("THE ANSWER"), now });
    expect(JSON.stringify(check)).not.toContain("THE ANSWER");
  });
});
