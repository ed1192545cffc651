import { describe, expect, it } from "vitest";
import { decideRun } from "../decide-run.ts";
import { NOW, runOf } from "../fleet.fixture.ts";
import type { MachineId } from "../ids.ts";
import type { Run } from "../run.ts";
import { renderComment, renderProgressComment } from "./comment.ts";
import { renderReceipt } from "./receipt.ts";
import { endedRun, endings, reportInput } from "./run.fixture.ts";
import { takenBackText } from "./taken-back.ts";

const machine = "mch_00000000000000000001" as MachineId;
const AT = Date.UTC(2026, 0, 5, 12, 3);
const takenBack = { machine, epoch: 1, at: AT };
const lost = { type: "machine_lost", machine, why: "taken_back" } as const;
const gone = {
  type: "machine_gone",
  machine,
  evidence: { at: AT, checks: [{ what: "instance", absent: true }] },
} as const;

/** A run at work in its first attempt. */
function atWork(): Run {
  return decideRun(runOf("1", 7), { type: "claimed", machine, capabilityHash: "c" }, NOW).run;
}

describe("a run whose machine AWS took back", () => {
  it("waits for an on-demand machine, remembers it, and says so while it goes on", () => {
    const queued = decideRun(decideRun(atWork(), lost, AT).run, gone, AT).run;
    expect(queued).toMatchObject({
      phase: "queued",
      takenBack,
      waitingFor: "an on-demand machine, since AWS took the last one back",
    });
    const went = "AWS took its machine back at 2026-01-05T12:03:00.000Z";
    expect(takenBackText(queued)).toBe(`${went}; it goes on with an on-demand machine.`);
    expect(renderProgressComment(queued, { now: AT })).toContain(`\n\n${went}; it goes on with an on-demand machine.`);
    const again = decideRun(
      queued,
      { type: "claimed", machine: `${machine.slice(0, -1)}2` as MachineId, capabilityHash: "d" },
      AT,
    ).run;
    expect(again).toMatchObject({ phase: "running", epoch: 2, takenBack });
    expect(takenBackText(again)).toBe(`${went}; it went on with an on-demand machine.`);
  });

  it("says so in its comment and its receipt", () => {
    const run = { ...endedRun(endings.succeeded), epoch: 2, takenBack };
    expect(renderComment(run, reportInput("hi"))).toContain(
      "\n\nAWS took its machine back at 2026-01-05T12:03:00.000Z; it went on with an on-demand machine.\n\n",
    );
    expect(renderReceipt(run, reportInput("hi")).takenBack).toEqual({
      machine,
      epoch: 1,
      at: "2026-01-05T12:03:00.000Z",
    });
  });

  it("ends as lost if it was its last attempt, or by another's wish, and claims no more than that", () => {
    const last = { ...endedRun(endings.lost), epoch: 2, takenBack: { ...takenBack, epoch: 2 } };
    expect(takenBackText(last)).toBe("AWS took its machine back at 2026-01-05T12:03:00.000Z.");
    const run = decideRun(decideRun({ ...atWork(), epoch: 2 }, lost, AT).run, gone, AT).run;
    expect(run).toMatchObject({
      phase: "publishing",
      ending: { outcome: "lost", detail: "AWS took the machine back" },
    });
  });

  it("is no run whose machine fell silent", () => {
    const silent = decideRun(atWork(), { ...lost, why: "silent" }, AT).run;
    expect(silent).not.toHaveProperty("takenBack");
    expect(takenBackText(silent)).toBeNull();
    const { takenBack: _, ...receipt } = renderReceipt(endedRun(endings.succeeded), reportInput("hi"));
    expect(renderReceipt(endedRun(endings.succeeded), reportInput("hi"))).toEqual(receipt);
  });
});
