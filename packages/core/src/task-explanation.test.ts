import { describe, expect, it } from "vitest";
import type { Ceiling } from "./ceiling.ts";
import { decidePolicy } from "./policy.ts";
import { explainTask } from "./task-explanation.ts";
import { parseTaskFile } from "./task-file.ts";
import { optionNames } from "./task-options.ts";

const ceiling: Ceiling = {
  labels: ["codex-*"],
  repositories: ["*/*"],
  models: ["gpt-*"],
  safetyStrategies: ["unprivileged-user", "read-only"],
  publications: ["check"],
  runMsMax: 20 * 60_000,
  setupHosts: [],
};

function explain(text: string, over: { label?: string; fork?: boolean } = {}) {
  return explainTask({ label: "codex-review", text, ceiling, modelDefault: "gpt-5.5", fork: false, ...over });
}

function fromOf(text: string, option: string) {
  const { value, from } = explain(text).options.find((one) => one.option === option) ?? {};
  return [value, from];
}

describe("explainTask", () => {
  it("names each option of a task file once", () => {
    expect(explain("Go.").options.map(({ option }) => option)).toEqual(optionNames);
  });

  it("says of each value whether the file, the service, Mayfly or the ceiling gave it", () => {
    const text = "---\neffort: high\n\nsafety-strategy: read-only\n---\nGo.";
    expect(fromOf(text, "effort")).toEqual(["high", "the task file, line 2"]);
    expect(fromOf(text, "safety-strategy")).toEqual(["read-only", "the task file, line 4"]);
    expect(fromOf(text, "sandbox")).toEqual(["read-only", expect.stringContaining("safety-strategy: read-only")]);
    expect(fromOf(text, "model")).toEqual(["gpt-5.5", expect.stringContaining("model.default (MAYFLY_MODEL)")]);
    expect(fromOf(text, "working-directory")).toEqual(["", "Mayfly's default"]);
    expect(fromOf(text, "timeout")).toEqual(["20m", expect.stringContaining("lowered to")]);
    expect(fromOf(text, "publish")).toEqual([["check"], expect.stringContaining("MAYFLY_PUBLICATIONS")]);
  });

  it.each([
    ["a model", "---\nmodel: other\n---\nGo.", "codex-review"],
    ["a timeout", "---\ntimeout: 21m\n---\nGo.", "codex-review"],
    ["root", "---\nsafety-strategy: unsafe\n---\nGo.", "codex-review"],
    ["a publication", "---\npublish: [check, patch]\n---\nGo.", "codex-review"],
    ["a label", "Go.", "review"],
    ["a mistake", "---\nmodle: gpt-5.5\n---\nGo.", "codex-review"],
  ])("refuses %s in the words of a run's refusal", (_name, text, label) => {
    const decision = decidePolicy({
      label,
      repository: { id: 1, owner: "example", name: "shop" },
      actor: { id: 1, login: "alice", type: "User" },
      role: "write",
      fork: false,
      head: "a".repeat(40),
      headPushedAt: null,
      labelledAt: 0,
      task: parseTaskFile(text),
      modelDefault: "gpt-5.5",
      ceiling,
    });
    expect(decision).toMatchObject({ allowed: false, ending: { detail: explain(text, { label }).refusals[0] } });
  });

  it("names all that the ceiling refuses, where a run names the first", () => {
    const text = "---\nmodel: other\ntimeout: 1h\npublish: [comment, patch]\n---\nGo.";
    expect(explain(text).refusals.map((detail) => detail.split(" is not")[0])).toEqual([
      "model: other",
      "timeout: 60m",
      "publish: comment",
      "publish: patch",
    ]);
  });

  it("shows the prompt with its variables filled", () => {
    const { prompt } = explain("Look at {{ title }} of {{ repository }} for {{ task }}.");
    expect(prompt).toContain('Look at [the block "title of the pull request" below] of example/shop for codex-review.');
    expect(prompt).toContain("An example's title");
  });

  it("counts no allow-users and no bots on a fork", () => {
    const text = "---\nallow-users: [bob]\nallow-bot-users: [dependabot]\n---\nGo.";
    expect(explain(text).starters.join("\n")).toMatch(/bob[^]*dependabot\[bot\]/);
    expect(explain(text, { fork: true }).starters.join("\n")).not.toMatch(/bob|dependabot/);
  });
});
