import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "./limits.ts";
import { renderTaskCheck } from "./render/task-check.ts";
import { publications } from "./task-options.ts";
import { type JudgedTask, judgeTaskChange, type TaskContent } from "./task-change.ts";

const ceiling = {
  labels: ["codex-*"],
  repositories: ["*/*"],
  models: ["gpt-*"],
  safetyStrategies: ["unprivileged-user", "unsafe", "read-only"],
  publications,
  runMsMax: 20 * 60_000,
  setupHosts: ["packages.example.com"],
} as const;
const terms = { ceiling, modelDefault: "gpt-5.5" };
const NONE: TaskContent = { kind: "none" };

function task(options: string, prompt = "Review this."): TaskContent {
  return { kind: "text", text: `---\n${options}\n---\n${prompt}\n` };
}

function judge(before: TaskContent, after: TaskContent, name = "codex-review.md"): JudgedTask {
  return judgeTaskChange({ name, before, after }, terms);
}

/** Options that open something, with the line that does. */
function opening(judged: JudgedTask): (string | number | undefined)[][] {
  return judged.options.flatMap(({ option, place, opens }) => (opens === null ? [] : [[option, place?.line]]));
}

describe("a change of a task file", () => {
  it.each([
    ["a wider sandbox", "sandbox: read-only", "sandbox: workspace-write", "sandbox"],
    ["no sandbox", "sandbox: workspace-write", "sandbox: danger-full-access", "sandbox"],
    ["Codex as root", "effort: low", "safety-strategy: unsafe", "safety-strategy"],
    ["another publication", "publish: comment", "publish: [comment, patch]", "publish"],
    ["other commands", "setup: make deps", "setup: make all", "setup"],
    ["a person more", "allow-users: [octocat]", "allow-users: [octocat, hubot]", "allow-users"],
    ["bots", "effort: low", "allow-bots: true", "allow-bots"],
    ["a bot by name", "effort: low", "allow-bot-users: [renovate]", "allow-bot-users"],
  ])("opens something by %s, on the line of that option", (_what, before, after, option) => {
    expect(opening(judge(task(before), task(after)))).toEqual([[option, 2]]);
  });

  it("says of a task that commits or opens a draft by itself that nobody approves it, and of no other", () => {
    const words = (publish: string) => judge(task("effort: low"), task(`publish: ${publish}`)).options.at(-1)?.opens;
    expect(words("[comment, commit]")).toContain("nobody has to approve");
    expect(words("[comment, draft-pull-request]")).toContain("nobody has to approve");
    expect(words("[comment, patch]")).toBe("A run puts more on the pull request than before.");
  });

  it("opens something by hosts that set-up may reach", () => {
    const after = task("setup: make deps\nnetwork: packages.example.com");
    expect(opening(judge(task("setup: make deps"), after))).toEqual([["network", 3]]);
  });

  it.each([
    ["a narrower sandbox", "sandbox: danger-full-access", "sandbox: read-only"],
    ["fewer publications", "publish: [comment, patch]", "publish: comment"],
    ["a person less", "allow-users: [octocat, hubot]", "allow-users: [octocat]"],
    ["no bots", "allow-bots: true", "allow-bots: false"],
    ["another effort", "effort: low", "effort: high"],
    ["the same in other words", "publish: comment, check", "publish: [comment, check]"],
  ])("opens nothing by %s", (_what, before, after) => {
    expect(opening(judge(task(before), task(after)))).toEqual([]);
  });

  it("is held against a task that sets nothing where the file is new, or was broken", () => {
    const after = task("sandbox: workspace-write\nallow-users: [octocat]");
    expect(opening(judge(NONE, after))).toEqual([["allow-users", 3]]);
    expect(judge(NONE, after)).toMatchObject({ fate: "new", isPromptChanged: false });
    expect(opening(judge(task("sandbx: x"), after))).toEqual([["allow-users", 3]]);
  });

  it("names every mistake and what the operator does not allow, and nothing else of such a file", () => {
    expect(judge(task("effort: low"), task("modle: x\neffort: nothing"))).toMatchObject({
      problems: [{ line: 2 }, { line: 3 }],
      options: [],
    });
    expect(judge(NONE, task("model: other"), "bug.md").problems.map(({ line, message }) => [line, message])).toEqual([
      [1, expect.stringContaining("bug")],
      [2, expect.stringContaining("model: other is not allowed here")],
    ]);
  });

  it("that removes a file or switches it off is no mistake", () => {
    expect(judge(task("effort: low"), NONE)).toMatchObject({ fate: "removed", problems: [] });
    expect(judge(task("effort: low"), task("enabled: false", ""))).toMatchObject({
      fate: "switched off",
      problems: [],
    });
  });
});

describe("the check on task files", () => {
  it("fails for a file that starts no run, is neutral for one that opens more, and else a success", () => {
    const wrong = judge(NONE, task("modle: x"));
    const wider = judge(NONE, task("allow-bots: true"));
    const good = judge(NONE, task("effort: low"));
    const conclusions = [[wrong, wider, good], [wider, good], [good]].map((all) => {
      return renderTaskCheck(all, 0, "main").conclusion;
    });
    expect(conclusions).toEqual(["failure", "neutral", "success"]);
    expect(renderTaskCheck([good], 3, "main")).toMatchObject({ conclusion: "neutral" });
  });

  it("keeps within GitHub's limits, and puts no note on a file that has no plain name, whatever files say", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.constantFrom("`", "```", "@everyone", "<!--", "\u202e", "---", "publish: [", "x".repeat(9_000)),
    );
    const text = fc.array(hostile, { maxLength: 8 }).map((parts) => parts.join("\n"));
    const content = fc.oneof(
      fc.constant(NONE),
      text.map((value): TaskContent => ({ kind: "text", text: value })),
      text.map((value): TaskContent => ({ kind: "text", text: `---\nallow-users: ["${value}"]\n---\nx` })),
    );
    const change = fc.record({ name: hostile, before: content, after: content });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: limits.taskFilesCheckedMax }), (changes) => {
        const check = renderTaskCheck(
          changes.map((one) => judgeTaskChange(one, terms)),
          0,
          "main",
        );
        expect(check.summary.length).toBeLessThanOrEqual(limits.commentCharsMax);
        expect(check.title.length).toBeLessThanOrEqual(255);
        for (const { path, start_line: line, message } of check.annotations ?? []) {
          expect(path).toMatch(/^\.github\/codex\/labels\/[^/\n]+$/);
          expect(line).toBeGreaterThan(0);
          expect(message).not.toMatch(/^$|\n/);
        }
      }),
      { numRuns: 300 },
    );
  });
});
