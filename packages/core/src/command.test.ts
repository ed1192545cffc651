import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { INSTRUCTIONS_CHARS_MAX, labelsOfFiles, parseCommand, taskNamed } from "./command.ts";

const SHA = "a".repeat(40);

function started(task: string, instructions: string | null = null, sha: string | null = null) {
  return { kind: "start", task, sha, instructions };
}

describe("parseCommand", () => {
  it.each([
    ["/codex review", started("review")],
    ["Please:\r\n/codex review  look at the locks \r\nThanks", started("review", "look at the locks")],
    [`/codex run ${SHA} review be quick`, started("review", "be quick", SHA)],
    ["/codex cancel", { kind: "cancel", task: null }],
    ["/codex cancel review", { kind: "cancel", task: "review" }],
    ["/codex retry", { kind: "retry" }],
    ["/codex apply", { kind: "apply" }],
    ["/codex discard", { kind: "discard" }],
    ["/codex STATUS", { kind: "status" }],
    ["/codex", { kind: "help" }],
    ["/codex run abc review", { kind: "wrong", why: "no_sha" }],
    [`/codex run ${SHA}`, { kind: "wrong", why: "no_sha" }],
    [`/codex review ${"x".repeat(INSTRUCTIONS_CHARS_MAX + 1)}`, { kind: "wrong", why: "too_long" }],
    ["```\n/codex one\n```\n/codex two", started("two")],
    ["<!-- a\n/codex one\n-->\n/codex two", started("two")],
    ["/codex one\n/codex two", started("one")],
  ])("reads %j", (body, command) => {
    expect(parseCommand(body)).toEqual(command);
  });

  it.each([
    ["no command", "look at /codex review"],
    ["a quote", "> /codex review"],
    ["an indented line", "    /codex review"],
    ["a list", "- /codex review"],
    ["another word", "/codexes review"],
    ["a code block", "~~~sh\n/codex review\n~~~"],
    ["a code block that a shorter mark does not end", "````\n```\n/codex review"],
    ["a code block that never ends", "```\n/codex review"],
    ["an HTML comment that never ends", "<!--\n/codex review"],
  ])("finds no command in %s", (_, body) => {
    expect(parseCommand(body)).toBeNull();
  });

  it("takes any text, and keeps task and instructions within their bounds", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 5_000 }), (text) => {
        const command = parseCommand(`/codex ${text}`);
        const started = command?.kind === "start" ? command : null;
        expect(started?.task.length ?? 0).toBeLessThanOrEqual(100);
        expect(started?.instructions?.length ?? 0).toBeLessThanOrEqual(INSTRUCTIONS_CHARS_MAX);
      }),
    );
  });
});

describe("taskNamed", () => {
  const labels = ["codex-review", "codex-fix", "other-fix"];

  it.each([
    ["codex-review", "codex-review"],
    ["Review", "codex-review"],
    ["codex-fix", "codex-fix"],
  ])("finds the task %s", (name, label) => {
    expect(taskNamed(name, labels)).toEqual({ label });
  });

  it.each([
    ["reveiw", "review"],
    ["canel", "cancel"],
    ["something", null],
  ])("says for %s which was probably meant", (name, near) => {
    expect(taskNamed(name, labels)).toEqual({ label: null, near });
  });

  it("does not guess between two tasks of the same ending", () => {
    expect(taskNamed("fix", labels)).toMatchObject({ label: null });
  });
});

describe("labelsOfFiles", () => {
  it("leaves out what is no task file and what the operator does not allow", () => {
    expect(labelsOfFiles(["codex-a.md", "README.md", "codex-b.txt"], ["codex-*"])).toEqual(["codex-a"]);
  });
});
