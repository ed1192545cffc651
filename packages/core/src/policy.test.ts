import { describe, expect, it } from "vitest";
import { limits } from "./limits.ts";
import { decidePolicy, type PolicyQuestion } from "./policy.ts";
import { type Actor, OPERATOR } from "./run-request.ts";
import { parseTaskFile } from "./task-file.ts";
import type { TaskOptions } from "./task-options.ts";

const LABELLED_AT = Date.UTC(2026, 0, 1);
const PATH = ".github/codex/labels/codex-review.md";
const dependabot: Actor = { id: 2, login: "dependabot[bot]", type: "Bot" };
const workflow: Actor = { id: 3, login: "github-actions[bot]", type: "Bot" };

function question(over: Partial<PolicyQuestion> = {}): PolicyQuestion {
  return {
    label: "codex-review",
    repository: { id: 100, owner: "example", name: "shop" },
    actor: { id: 1, login: "alice", type: "User" },
    role: "write",
    fork: false,
    head: "a".repeat(40),
    headPushedAt: LABELLED_AT - limits.forkSettleMs,
    labelledAt: LABELLED_AT,
    task: file({}),
    modelDefault: "gpt-5.5",
    ceiling: {
      labels: ["codex-*"],
      repositories: ["example/*"],
      models: ["gpt-*"],
      safetyStrategies: ["unprivileged-user", "read-only"],
      publications: ["comment"],
      runMsMax: 20 * 60_000,
      setupHosts: [],
    },
    ...over,
  };
}

function file(options: TaskOptions) {
  return { ok: true, options, prompt: "Review this." } as const;
}

function refusal(over: Partial<PolicyQuestion>) {
  const decision = decidePolicy(question(over));
  return decision.allowed ? null : decision.ending;
}

describe("decidePolicy", () => {
  it("allows a person with write access, with the defaults below the ceiling", () => {
    expect(decidePolicy(question())).toMatchObject({
      allowed: true,
      task: { name: "codex-review", model: "gpt-5.5", timeoutMs: 20 * 60_000, publish: ["comment"] },
    });
  });

  it("gives no review to a task that does not ask for one, though the ceiling allows it", () => {
    const ceiling = { ...question().ceiling, publications: ["comment", "review"] as const };
    const publish = (options: TaskOptions) => {
      const decision = decidePolicy(question({ ceiling, task: file(options) }));
      return decision.allowed ? decision.task.publish : null;
    };
    expect(publish({})).toEqual(["comment"]);
    expect(publish({ publish: ["review"] })).toEqual(["review"]);
  });

  it.each([
    ["none", false],
    ["read", false],
    ["triage", false],
    ["write", true],
    ["maintain", true],
    ["admin", true],
    ["security-champion", false],
    ["Write", false],
    ["", false],
  ])("answers the role %j with %j, on a fork too", (role, allowed) => {
    for (const fork of [false, true]) {
      const ending = refusal({ role, fork });
      expect(ending === null).toBe(allowed);
      expect(ending?.code).toBe(allowed ? undefined : "actor_lacks_write");
      expect(ending?.detail ?? `role ${role}`).toContain(`role ${role}`);
    }
  });

  it("lets listed users start, whatever the case of their login, but never on a fork", () => {
    const task = file({ allowUsers: ["ALICE"] });
    expect(refusal({ task, role: "read" })).toBeNull();
    expect(refusal({ task, role: "read", fork: true })).toMatchObject({
      code: "actor_lacks_write",
      detail: expect.stringContaining("does not count on a pull request from a fork"),
    });
  });

  it.each<[string, Actor, TaskOptions, boolean]>([
    ["no option", dependabot, {}, false],
    ["its name", dependabot, { allowBotUsers: ["dependabot"] }, true],
    ["its name with the suffix and in capitals", dependabot, { allowBotUsers: ["Dependabot[bot]"] }, true],
    ["allow-bots", dependabot, { allowBots: true }, false],
    ["allow-users", dependabot, { allowUsers: ["dependabot"] }, false],
    ["allow-bots, for the workflow's bot", workflow, { allowBots: true }, true],
    ["no option, for the workflow's bot", workflow, {}, false],
  ])("decides on a bot by %s", (_, actor, options, allowed) => {
    const ending = refusal({ actor, role: "admin", task: file(options) });
    expect(ending?.code).toBe(allowed ? undefined : "bot_not_allowed");
    expect(ending?.detail ?? PATH).toContain(PATH);
  });

  it("never lets a bot start a run on a fork", () => {
    const task = file({ allowBots: true, allowBotUsers: ["github-actions"] });
    expect(refusal({ actor: workflow, task, fork: true })?.code).toBe("bot_not_allowed");
  });

  it("does not take a person for a bot of that name", () => {
    const actor: Actor = { id: 4, login: "github-actions", type: "User" };
    expect(refusal({ actor, role: "read", task: file({ allowBots: true }) })?.code).toBe("actor_lacks_write");
  });

  it("asks no role of the operator, and holds the run to the task file, the ceiling and a fork's age all the same", () => {
    const asked = { actor: OPERATOR, role: "operator" };
    expect(refusal(asked)).toBeNull();
    expect(refusal({ ...asked, task: null })?.code).toBe("task_missing");
    expect(refusal({ ...asked, label: "bug" })?.code).toBe("not_allowed");
    expect(refusal({ ...asked, fork: true, headPushedAt: LABELLED_AT })?.code).toBe("fork_head_fresh");
  });

  it.each(["Organization", "Mannequin"] as const)("refuses an actor of type %s", (type) => {
    expect(refusal({ actor: { id: 4, login: "x", type }, role: "admin" })?.code).toBe("actor_lacks_write");
  });

  it.each([
    [LABELLED_AT - limits.forkSettleMs, null],
    [LABELLED_AT - limits.forkSettleMs + 1, "fork_head_fresh"],
    [LABELLED_AT + 1, "fork_head_fresh"],
    [null, "fork_head_fresh"],
  ])("answers a fork pushed to at %j with %j", (headPushedAt, code) => {
    const ending = refusal({ fork: true, headPushedAt });
    expect(ending?.code ?? null).toBe(code);
    expect(ending?.detail ?? "a".repeat(40)).toContain("a".repeat(40));
  });

  it.each([LABELLED_AT + 1, null])("takes a fork pushed to at %j when the person named the commit", (headPushedAt) => {
    expect(refusal({ fork: true, headPushedAt, headNamed: true })).toBeNull();
  });

  it("does not ask a branch of the repository itself how old it is", () => {
    expect(refusal({ headPushedAt: LABELLED_AT })).toBeNull();
  });

  it("names the file that is missing", () => {
    expect(refusal({ task: null })).toEqual({
      outcome: "refused",
      code: "task_missing",
      detail: `add ${PATH} to the default branch; it is neither there nor in example/.github, as far as the App can read it`,
    });
    expect(refusal({ label: "codex-a..b", task: null })).toMatchObject({
      code: "task_missing",
      detail: expect.stringContaining("rename"),
    });
  });

  it("names the file that switches its task off, also the organisation's", () => {
    const task = parseTaskFile("---\nenabled: false\n---\n");
    const detail = ".github/codex/labels/codex-review.md says enabled: false";
    expect(refusal({ task })).toEqual({ outcome: "refused", code: "task_off", detail });
    const path = ".github/codex/labels/codex-review.md";
    const ids = { commit: "a".repeat(40), blob: "b".repeat(40) };
    const taskSource = { from: "organisation", owner: "example", name: ".github", path, ...ids } as const;
    expect(refusal({ task, taskSource })?.detail).toBe(`example/.github/${detail}`);
  });

  it("lets a set-up reach what its operator names and nothing else", () => {
    const task = file({ setup: ["make deps"], network: ["packages.example.com"] });
    expect(refusal({ task })).toMatchObject({
      code: "not_allowed",
      detail: expect.stringContaining("network: packages.example.com is not allowed here; allowed: none"),
    });
    const ceiling = { ...question().ceiling, setupHosts: ["packages.example.com"] };
    expect(refusal({ task, ceiling })).toBeNull();
    const more = file({ setup: ["make"], network: ["packages.example.com", "www.packages.example.com"] });
    expect(refusal({ task: more, ceiling })?.detail).toContain("www.packages.example.com is not allowed here");
  });

  it("lets no set-up of a fork's pull request reach a host, whatever the operator names", () => {
    const task = file({ setup: ["make deps"], network: ["packages.example.com"] });
    const ceiling = { ...question().ceiling, setupHosts: ["packages.example.com"] };
    expect(refusal({ task, ceiling, fork: true })).toMatchObject({
      code: "not_allowed",
      detail: expect.stringContaining("never run on a fork's pull request"),
    });
  });

  it("names the first mistakes of a broken file, and counts the rest", () => {
    const task = parseTaskFile("---\nmodle: x\na: 1\nb: 1\nc: 1\n---\nx");
    const ending = refusal({ task });
    expect(ending?.code).toBe("task_invalid");
    expect(ending?.detail).toMatch(
      /^\S+codex-review\.md:2:1: there is no option "modle" \(did you mean "model"\?\); .*:4:1: .*; and 1 more$/,
    );
  });

  it.each<[string, Partial<PolicyQuestion>, RegExp]>([
    ["a label", { label: "bug" }, /^label: "bug" .* codex-\*$/],
    ["a model", { task: file({ model: "o1" }) }, /^model: o1 .*allowed: gpt-\*$/],
    ["a timeout", { task: file({ timeoutMs: 30 * 60_000 }) }, /^timeout: 30m .*up to 20m$/],
    [
      "a strategy",
      { task: file({ safetyStrategy: "drop-sudo" }) },
      /^safety-strategy: drop-sudo .*unprivileged-user, read-only$/,
    ],
    ["a publication", { task: file({ publish: ["comment", "check"] }) }, /^publish: check .*allowed: comment$/],
    ["a repository", { repository: { id: 1, owner: "other", name: "x" } }, /^repository: other\/x .*example\/\*$/],
  ])("refuses %s beyond the ceiling, and says what is allowed", (_, over, detail) => {
    expect(refusal(over)).toEqual({ outcome: "refused", code: "not_allowed", detail: expect.stringMatching(detail) });
  });

  it("has Codex as root only by the operator's leave, and says how that is given", () => {
    const { ceiling } = question();
    const task = file({ safetyStrategy: "unsafe" });
    expect(refusal({ task })).toEqual({
      outcome: "refused",
      code: "not_allowed",
      detail: expect.stringMatching(
        /^safety-strategy: unsafe is not allowed here; .* adds unsafe to policy\.safety_strategies/,
      ),
    });
    expect(refusal({ task, ceiling: { ...ceiling, safetyStrategies: ["unsafe"] } })).toBeNull();
  });

  it("asks in its order: label, file, actor, fork, ceiling", () => {
    const everything: Partial<PolicyQuestion> = {
      label: "bug",
      task: null,
      role: "read",
      fork: true,
      headPushedAt: null,
    };
    const repository = { id: 1, owner: "other", name: "x" };
    const codes = [
      refusal({ ...everything, repository }),
      refusal({ ...everything, repository, label: "codex-x" }),
      refusal({ ...everything, repository, label: "codex-x", task: file({}) }),
      refusal({ ...everything, repository, label: "codex-x", task: file({}), role: "admin" }),
      refusal({ repository }),
    ].map((ending) => ending?.code);
    expect(codes).toEqual(["not_allowed", "task_missing", "actor_lacks_write", "fork_head_fresh", "not_allowed"]);
  });
});
