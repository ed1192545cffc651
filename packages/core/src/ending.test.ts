import { describe, expect, it } from "vitest";
import { endingOf, endingTexts } from "./ending.ts";
import type { ResultFrame } from "./protocol.ts";
import type { Result } from "./result.ts";

type Change = { codex?: Partial<Result["codex"]>; final?: Result["final_message"] };

function frame({ codex = {}, final = { state: "present", text: "Looks good." } }: Change): ResultFrame {
  return {
    kind: "result",
    epoch: 1,
    result: {
      codex: { version: "1", exit_code: 0, ended_by: "exit", error: null, ...codex },
      final_message: final,
      structured: null,
      patch: { state: "withheld", why: "absent" },
      usage: null,
    },
  };
}

describe("how a run ends by its attempt's own report", () => {
  it.each<[string, Change, string, string]>([
    ["an answer", {}, "succeeded", "answered"],
    ["an exit code", { codex: { exit_code: 7, error: "stream error" } }, "failed", "codex_failed"],
    ["a signal", { codex: { exit_code: null, ended_by: "signal" } }, "failed", "codex_failed"],
    ["the deadline", { codex: { exit_code: null, ended_by: "deadline" } }, "timed_out", "deadline"],
    ["being told to stop", { codex: { exit_code: null, ended_by: "stop" } }, "cancelled", "operator"],
    ["no answer", { final: { state: "withheld", why: "absent" } }, "failed", "answer_missing"],
    ["an empty answer", { final: { state: "present", text: " \n\t" } }, "failed", "answer_missing"],
    ["an answer too big", { final: { state: "withheld", why: "too_big" } }, "failed", "answer_withheld"],
    [
      "an answer that is no file",
      { final: { state: "withheld", why: "not_a_regular_file" } },
      "failed",
      "answer_withheld",
    ],
    [
      "an error beside an answer",
      { codex: { exit_code: 1 }, final: { state: "present", text: "all fine" } },
      "failed",
      "codex_failed",
    ],
    ["a signal that claims exit code 0", { codex: { exit_code: 0, ended_by: "deadline" } }, "timed_out", "deadline"],
  ])("%s", (_name, change, outcome, code) => {
    expect(endingOf(frame(change))).toMatchObject({ outcome, code });
  });

  it("names the exit code and the CLI's own error", () => {
    expect(endingOf(frame({ codex: { exit_code: 7, error: "stream error" } })).detail).toBe(
      "exit code 7: stream error",
    );
    expect(endingOf(frame({ codex: { exit_code: null, ended_by: "signal" } })).detail).toBe("a signal");
  });

  it.each([
    ["gate", "gate_failed"],
    ["source", "agent_failed"],
    ["collect", "agent_failed"],
  ] as const)("a failure at %s", (step, code) => {
    const failure: ResultFrame = { kind: "failure", epoch: 1, failure: { step, message: "no" } };
    expect(endingOf(failure)).toEqual({ outcome: "failed", code, detail: `${step}: no` });
  });

  it("has a title for every code, and a fix for every code but success", () => {
    const without = (what: "title" | "fix") =>
      Object.entries(endingTexts).flatMap(([code, texts]) => (texts[what] === "" ? [code] : []));
    expect(without("title")).toEqual([]);
    expect(without("fix")).toEqual(["answered"]);
  });
});
