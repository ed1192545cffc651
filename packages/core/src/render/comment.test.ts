import { describe, expect, it } from "vitest";
import { outcomes } from "../ending.ts";
import { limits } from "../limits.ts";
import { renderActivity } from "./activity.ts";
import { commentMarker, renderComment, renderProgressComment, renderReport } from "./comment.ts";
import { renderEarlier } from "./earlier.ts";
import type { EndedRun } from "./receipt.ts";
import { endedRun, endings, reportInput } from "./run.fixture.ts";

const answer = `## Findings

1. **src/a.ts** leaks a handle, see [here](https://github.com/acme/app/blob/main/src/a.ts#L3) and [there](https://evil.example/x).
2. Ask @alice, fixes #12.

![beacon](https://evil.example/p.png)
<!-- hidden -->

\`\`\`ts
const a = 1;
`;

function asRoot(run: EndedRun): EndedRun {
  const { request, attempt } = run;
  const gate = {
    safety_strategy: "unsafe" as const,
    checks: [{ name: "identity", ok: true, seen: "uid 0" }],
    not_applicable: ["capabilities", "sudo"],
  };
  const task = { ...request.task, safetyStrategy: "unsafe" as const };
  return { ...run, request: { ...request, task }, attempt: attempt && { ...attempt, gate } };
}

describe("the comment of an ended run", () => {
  it.each(outcomes)("is as written down for a run that %s", async (outcome) => {
    const input = reportInput(outcome === "succeeded" ? answer : null);
    const text = renderComment(endedRun(endings[outcome]), outcome === "refused" ? { ...input, spend: null } : input);
    await expect(`${text}\n`).toMatchFileSnapshot(`./golden/${outcome}.md`);
  });

  it("begins with its marker", () => {
    const run = endedRun(endings.succeeded);
    expect(
      renderComment(run, reportInput("hi")).startsWith(`${commentMarker(run.id)}\n\n### Codex has answered\n`),
    ).toBe(true);
  });

  it.each([
    ["letters", "x".repeat(300_000)],
    ["lines", "a\n".repeat(100_000)],
    ["mentions", "@alice ".repeat(40_000)],
    ["marks", "[*".repeat(100_000)],
    ["backticks", "`".repeat(200_000)],
    ["pictures", "![a](b)\n\n".repeat(20_000)],
  ])("keeps within its limit whatever the answer is made of: %s", (_, text) => {
    const comment = renderComment(endedRun(endings.succeeded), reportInput(text));
    expect(comment.length).toBeLessThanOrEqual(limits.commentCharsMax);
    expect(comment.endsWith("</details>")).toBe(true);
  });

  it("keeps within its limit when the guest fills every field there is", () => {
    const run = endedRun({ outcome: "failed", code: "agent_failed", detail: "`\n".repeat(50_000) });
    const checks = Array.from({ length: 64 }, () => ({ name: "`".repeat(64), ok: false, seen: "`".repeat(512) }));
    const evidence = { at: 0, checks: Array.from({ length: 500 }, () => ({ what: "`".repeat(500), absent: false })) };
    const full = {
      ...run,
      attempt: run.attempt && { ...run.attempt, gate: { safety_strategy: "unsafe" as const, checks } },
      gone: run.gone.flatMap((one) => Array.from({ length: 20 }, () => ({ ...one, evidence }))),
    };
    expect(renderComment(full, reportInput(null)).length).toBeLessThanOrEqual(limits.commentCharsMax);
    expect(
      renderComment({ ...full, ending: endings.succeeded }, reportInput("x".repeat(300_000))).length,
    ).toBeLessThanOrEqual(limits.commentCharsMax);
    const todo = Array.from({ length: 30 }, () => ({ text: "*".repeat(300), completed: true }));
    const commands = Array.from({ length: 20 }, () => ({ command: "x".repeat(300), exitCode: null }));
    const whole = {
      ...reportInput("x".repeat(300_000)),
      patch: "y".repeat(27_000),
      activity: renderActivity({ todo, commands }, reportInput(null)),
      earlier: renderEarlier({ ...full, ending: endings.succeeded }, reportInput("z".repeat(300_000))),
    };
    expect([whole.activity.length, whole.earlier.length].every((length) => length > 4_000)).toBe(true);
    expect(renderComment({ ...full, ending: endings.succeeded }, whole).length).toBeLessThanOrEqual(
      limits.commentCharsMax,
    );
  });

  it("lets no answer close the quote or the fold it stands in", () => {
    const text = renderReport(endedRun(endings.succeeded), reportInput("```\n</details>\n\n### Approved by a person"));
    const quoted = text.split("\n").filter((line) => line.includes("Approved"));
    expect(quoted).toEqual(["> ### Approved by a person"]);
    expect(text.split("\n").filter((line) => line.startsWith("</details>"))).toHaveLength(1);
  });

  it("says so when Codex was root, in the check's summary too, but not when it never ran", () => {
    const run = asRoot(endedRun(endings.succeeded));
    const says = [renderComment(run, reportInput("Done.")), renderReport(run, reportInput("Done."))];
    for (const text of says) {
      expect(text.split("\n")).toContain("Codex ran as root in its machine (`unsafe`).");
      expect(text).toContain("  - not asked of root: `capabilities`, `sudo`");
    }
    const { key_lent: _, ...times } = run.times;
    expect(renderComment({ ...run, times }, reportInput(null))).not.toContain("as root in");
    expect(renderComment(endedRun(endings.succeeded), reportInput("Done."))).not.toContain("root");
  });

  it("says that an emulated machine isolates nothing for sure", () => {
    expect(renderComment(endedRun(endings.lost), reportInput(null))).toContain("emulated: no isolation guarantee");
  });

  it("shows progress as what it waits for, on one line, and each step with its time", () => {
    const { schema, id, request, createdAt, epoch, times, gone, modelCalls } = endedRun(endings.succeeded);
    const { requested = 0, queued: queuedAt = 0 } = times;
    const soFar = { requested, queued: queuedAt };
    const run = { schema, id, request, createdAt, epoch, times: soFar, gone, modelCalls };
    const queued = { ...run, phase: "queued", since: createdAt, source: null, waitingFor: "zone a\n@alice" } as const;
    expect(renderProgressComment(queued, { now: createdAt + 61_000 }).split("\n")).toEqual([
      commentMarker(id),
      "",
      "### Queued: waiting for zone a `@alice` · 1m 1s",
      "",
      "`codex-review` on `aaaaaaa`. To stop it, remove the label.",
      "",
      "- asked for: +0ms",
      "- queued: +200ms",
    ]);
  });
});
