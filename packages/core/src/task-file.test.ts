import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits } from "./limits.ts";
import { reviewSchema } from "./review.ts";
import { parseTaskFile, resolveTask, taskPath } from "./task-file.ts";
import { optionNames } from "./task-options.ts";

const defaults = { model: "gpt-5.5", timeoutMs: 60_000, publish: ["comment"] } as const;

describe("taskPath", () => {
  it("names the file of a label", () => {
    expect(taskPath("codex-review")).toEqual({ ok: true, path: ".github/codex/labels/codex-review.md" });
    expect(taskPath("codex: äußerst genau")).toMatchObject({ ok: true });
  });

  it.each([
    ["", /empty/],
    [" codex", /space/],
    ["codex/review", /slash/],
    ["codex\\review", /slash/],
    ["../secrets", /slash/],
    ["codex..review", /dot/],
    [".hidden", /dot/],
    ["codex.", /dot/],
    ["codex\nreview", /control/],
    ["codex\0", /control/],
    ["codex\u202Ereview", /invisible/],
    ["x".repeat(101), /longer than 100/],
  ])("has no file for %j", (label, reason) => {
    const result = taskPath(label);
    expect(result.ok ? "" : result.reason).toMatch(reason);
  });

  it("never leaves the folder", () => {
    fc.assert(
      fc.property(fc.string(), (label) => {
        const result = taskPath(label);
        const path = result.ok ? result.path : ".github/codex/labels/x.md";
        expect(path.split("/")).toHaveLength(4);
        expect(path).not.toContain("..");
      }),
    );
  });
});

describe("parseTaskFile", () => {
  it("reads a prompt without front matter", () => {
    expect(parseTaskFile("Review this.\n")).toEqual({ ok: true, options: {}, prompt: "Review this." });
  });

  it("says where a variable is that there is not, and which may be meant", () => {
    expect(
      parseTaskFile("---\nmodel: m\n---\n\nSay {{ title }}.\n{{ titel }} and ${{ github.token }}, not \\{{ x }} or {{"),
    ).toEqual({
      ok: false,
      problems: [
        {
          line: 6,
          column: 1,
          message: 'there is no variable "titel" (did you mean "title"?); for two braces that stay, write \\{{',
        },
        { line: 6, column: 18, message: 'there is no variable "github.token"; for two braces that stay, write \\{{' },
      ],
    });
  });

  it("reads every option", () => {
    const text = [
      "---",
      "model: gpt-5.5",
      "effort: high",
      "sandbox: read-only",
      "safety-strategy: drop-sudo",
      "output-schema:",
      "  type: object",
      "  properties: { verdict: { type: string } }",
      "working-directory: ./packages//core/",
      "codex-args: --config model_verbosity=low",
      "network: packages.example.com, files.example.com",
      "setup:",
      "  - make deps",
      "  - |",
      "    cd web",
      "    make",
      "allow-users: alice, Bob",
      "allow-bots: yes",
      "allow-bot-users: [dependabot, 'renovate[bot]']",
      "publish: [comment, comment]",
      "timeout: 45m",
      "---",
      "",
      "Review this.",
      "---",
      "And that.",
    ].join("\n");
    expect(parseTaskFile(text)).toEqual({
      ok: true,
      prompt: "Review this.\n---\nAnd that.",
      options: {
        model: "gpt-5.5",
        effort: "high",
        sandbox: "read-only",
        safetyStrategy: "drop-sudo",
        outputSchema: '{"type":"object","properties":{"verdict":{"type":"string"}}}',
        workingDirectory: "packages/core",
        codexArgs: ["--config", "model_verbosity=low"],
        setup: ["make deps", "cd web\nmake\n"],
        network: ["packages.example.com", "files.example.com"],
        allowUsers: ["alice", "Bob"],
        allowBots: true,
        allowBotUsers: ["dependabot", "renovate"],
        publish: ["comment"],
        timeoutMs: 45 * 60_000,
      },
    });
  });

  it("reads a schema that is JSON", () => {
    expect(parseTaskFile(`---\noutput-schema: '{"type": "object"}'\n---\nx`)).toMatchObject({
      ok: true,
      options: { outputSchema: '{"type":"object"}' },
    });
  });

  it("reads a file as Windows writes it", () => {
    expect(parseTaskFile("\uFEFF---\r\nmodel: m\r\n---\r\na\r\nb\r\n")).toEqual({
      ok: true,
      options: { model: "m" },
      prompt: "a\nb",
    });
  });

  it.each([
    ["modle: x", "2:1", /no option "modle" \(did you mean "model"\?\)/],
    ["model: m\nsafety_strategy: unsafe", "3:1", /did you mean "safety-strategy"/],
    ["openai-api-key: sk-x", "2:1", /never leaves the service/],
    ["prompt: hello", "2:1", /below the front matter/],
    ["__proto__: 1", "2:1", /no option/],
    ["constructor: 1", "2:1", /no option/],
    ["toString: 1", "2:1", /no option/],
    ["model: m\nmodel: n", "3:1", /given twice/],
    ["model: [a]", "2:1", /a model's name/],
    ['model: "--yolo"', "2:1", /a model's name/],
    ["effort: hihg", "2:1", /did you mean "high"/],
    ["sandbox: writable", "2:1", /read-only, workspace-write or danger-full-access/],
    ["safety-strategy: none", "2:1", /must be unprivileged-user, drop-sudo, read-only or unsafe/],
    ["output-schema: [1]", "2:1", /must be a JSON Schema/],
    [
      "output-schema: { properties: { a: { pattern: x } } }",
      "2:1",
      /output-schema has \/properties\/a\/pattern, to which/,
    ],
    ["output-schema: '{oops'", "2:1", /must be a JSON Schema/],
    ["output-schema: 'null'", "2:1", /must be a JSON Schema/],
    ["working-directory: ../x", "2:1", /stay inside/],
    ["working-directory: a/../../x", "2:1", /stay inside/],
    ["working-directory: .git/hooks", "2:1", /stay inside/],
    ["working-directory: /etc", "2:1", /relative/],
    ['working-directory: "a\\nb"', "2:1", /control/],
    ["codex-args: --yolo", "2:1", /codex-args is not allowed: "--yolo"/],
    ["codex-args: [1]", "2:1", /a text or a list of texts/],
    ["setup: []", "2:1", /1 to 20 commands/],
    ["setup: make\nnetwork: []", "3:1", /1 to 10 hosts/],
    ["setup: make\nnetwork: https://packages.example.com", "3:1", /hosts exactly/],
    ["setup: make\nnetwork: ['*.example.com']", "3:1", /no `\*`/],
    ["setup: make\nnetwork: packages.example.com:8443", "3:1", /no port/],
    ["setup: make\nnetwork: 192.0.2.1", "3:1", /no address/],
    ["setup: make\nnetwork: Packages.example.com", "3:1", /lower case/],
    ["network: packages.example.com", "2:1", /there is no setup/],
    ["setup: [make, '']", "2:1", /commands of 1 to 4000 characters/],
    ["setup: { make: deps }", "2:1", /a command or a list of commands/],
    ['setup: "a\\u202eb"', "2:1", /control or invisible/],
    ['allow-users: "*"', "2:1", /`\*` would let everybody/],
    ["allow-users: [alice, 'b*']", "2:1", /would let everybody/],
    ["allow-users: dependabot[bot]", "2:1", /allow-bot-users/],
    ["allow-users: [3]", "2:1", /list of logins/],
    ["allow-users: '@alice'", "2:1", /without @/],
    ["allow-bots: maybe", "2:1", /true or false/],
    ['allow-bot-users: "*"', "2:1", /any App/],
    ["publish: []", "2:1", /at least one/],
    ["publish: [coment]", "2:1", /did you mean "comment"/],
    ["publish: [commit, draft-pull-request]", "2:1", /not both/],
    ["timeout: 30", "2:1", /a number and its unit/],
    ["timeout: 5s", "2:1", /from 10s to 24h/],
    ["timeout: 999999h", "2:1", /from 10s to 24h/],
    ["model: &m x", "2:11", /anchors/],
  ])("refuses %j at %s", (frontMatter, place, message) => {
    const result = parseTaskFile(`---\n${frontMatter}\n---\nReview this.`);
    const [problem] = result.ok ? [] : result.problems;
    expect(problem?.message).toMatch(message);
    expect(`${problem?.line}:${problem?.column}`).toBe(place);
  });

  it("names every mistake, in order", () => {
    const result = parseTaskFile("---\nfoo: 1\nmodel: m\nbar: 2\n---\nx");
    expect(result.ok ? [] : result.problems.map(({ line }) => line)).toEqual([2, 4]);
  });

  it.each([
    ["an empty file", "", "1:1", /no prompt/],
    ["front matter alone", "---\nmodel: m\n---\n\n", "4:1", /no prompt/],
    ["front matter without an end", "---\nmodel: m\nReview this.", "1:1", /no line `---` ends it/],
    ["a NUL character", "Review\nth\0is", "2:3", /NUL/],
    ["a huge file", "x".repeat(limits.taskBytesMax + 1), "1:1", /64 KiB/],
    ["a file huge in bytes", "ü".repeat(limits.taskBytesMax / 2 + 1), "1:1", /64 KiB/],
  ])("refuses %s", (_, text, place, message) => {
    const result = parseTaskFile(text);
    const [problem] = result.ok ? [] : result.problems;
    expect(problem?.message).toMatch(message);
    expect(`${problem?.line}:${problem?.column}`).toBe(place);
  });

  it("never throws, and never invents an option", () => {
    const line = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.constantFrom(...optionNames), fc.oneof(fc.string(), fc.json(), fc.constantFrom("*", "high", "1h")))
        .map(([name, value]) => `${name}: ${value}`),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), fc.string(), (lines, prompt) => {
        const result = parseTaskFile(["---", ...lines, "---", prompt].join("\n"));
        expect(result.ok ? result.prompt.length : result.problems.length).toBeGreaterThan(0);
        expect(
          result.ok ? [...(result.options.allowUsers ?? []), ...(result.options.allowBotUsers ?? [])] : [],
        ).not.toContain("*");
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("resolveTask", () => {
  it("puts the file's options over the defaults", () => {
    const task = resolveTask("codex-review", { model: "m", publish: ["check"] }, defaults);
    expect(task).toMatchObject({ name: "codex-review", model: "m", publish: ["check"], timeoutMs: 60_000 });
    expect(task).toMatchObject({ sandbox: "workspace-write", safetyStrategy: "unprivileged-user" });
  });

  it("gives a review the schema of one, unless the file has its own", () => {
    expect(resolveTask("x", { publish: ["review"] }, defaults).outputSchema).toBe(reviewSchema);
    expect(resolveTask("x", { publish: ["review"], outputSchema: "{}" }, defaults).outputSchema).toBe("{}");
    expect(resolveTask("x", {}, defaults).outputSchema).toBeNull();
  });

  it("gives the strategy read-only the sandbox of that name, whatever the file says", () => {
    const options = { safetyStrategy: "read-only", sandbox: "danger-full-access" } as const;
    expect(resolveTask("x", options, defaults).sandbox).toBe("read-only");
  });
});
