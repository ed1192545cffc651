import { describe, expect, it } from "vitest";
import { renderReceipt } from "./receipt.ts";
import { renderDuration } from "./duration.ts";
import { renderSteps } from "./steps.ts";
import { digest, endedRun, endings, reportInput } from "./run.fixture.ts";

describe("the receipt", () => {
  it("survives JSON unchanged", () => {
    const receipt = renderReceipt(endedRun(endings.succeeded), reportInput("hi"));
    expect(JSON.parse(JSON.stringify(receipt))).toEqual(receipt);
  });

  it("carries who asked, what ran, what it cost and the proof that the machine is gone", () => {
    expect(renderReceipt(endedRun(endings.succeeded), reportInput("hi"))).toMatchObject({
      schema: 1,
      trigger: { actor: { login: "alice" }, role: "write", head: "a".repeat(40) },
      task: { name: "codex-review", digest: digest("c") },
      agent: { protocol: 1, codexVersion: "0.169.0", exitCode: 0 },
      outcome: "succeeded",
      modelCalls: 7,
      usage: { output_tokens: 890 },
      spend: { spent: { requests: 7, microUsd: 187_345 }, left: { run: { requests: 743 } }, pricedAsOf: "2026-01-01" },
      timings: { totalMs: 130_000, phasesMs: { codex: 111_800, keyAlive: 112_900, destroying: 9_000 } },
      machines: [
        {
          provider: "qemu",
          isolation: "virtual machine",
          image: digest("f"),
          evidence: [{ absent: true }, { absent: true }],
        },
      ],
    });
  });

  it("says whether Codex was root", () => {
    const run = endedRun(endings.succeeded);
    const task = { ...run.request.task, safetyStrategy: "unsafe" as const };
    const asRoot = { ...run, request: { ...run.request, task } };
    const { key_lent: _, ...times } = run.times;
    const answers = [run, asRoot, { ...asRoot, times }].map(
      (one) => renderReceipt(one, reportInput("hi")).agent.ranAsRoot,
    );
    expect(answers).toEqual([false, true, false]);
  });

  it("carries neither the prompt nor any hash of a capability or key", () => {
    const text = JSON.stringify(renderReceipt(endedRun(endings.succeeded), reportInput("hi")));
    expect(text).not.toContain("Review this.");
    expect(text).not.toContain("e".repeat(64));
  });

  it("says so when nothing is known of a machine", () => {
    const { machines } = renderReceipt(endedRun(endings.failed), { result: null, machines: [], spend: null });
    expect(machines).toMatchObject([{ provider: null, isolation: "unknown" }]);
  });
});

describe("steps and durations", () => {
  it("orders steps by time, not by name", () => {
    const run = endedRun(endings.succeeded);
    const swapped = { ...run, times: { ...run.times, machine_gone: run.createdAt + 1, queued: run.createdAt + 2 } };
    expect(
      renderSteps(swapped)
        .slice(0, 3)
        .map(({ step }) => step),
    ).toEqual(["requested", "machine_gone", "queued"]);
  });

  it.each([
    [-5, "0ms"],
    [850, "850ms"],
    [12_999, "12s"],
    [60_000, "1m"],
    [130_000, "2m 10s"],
    [3_600_000, "1h"],
    [3_900_000, "1h 5m"],
  ])("writes %d ms as %s", (ms, text) => {
    expect(renderDuration(ms)).toBe(text);
  });
});
