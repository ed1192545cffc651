import { describe, expect, it } from "vitest";
import type { DeliveryId } from "./ids.ts";
import type { PullRequestFacts } from "./ports.ts";
import { recheck } from "./recheck.ts";
import { OPERATOR, type PullRequestOrigin } from "./run-request.ts";
import { defaultTask, type TaskSpec } from "./task-spec.ts";

const origin: PullRequestOrigin = {
  kind: "pull_request",
  delivery: "d-1" as DeliveryId,
  installation: 1,
  repository: { id: 2, owner: "acme", name: "app" },
  number: 3,
  label: "codex-review",
  actor: { id: 4, login: "alice", type: "User" },
  role: "write",
  head: "a".repeat(40),
  base: "b".repeat(40),
  baseRef: "main",
  fork: false,
};
const task = defaultTask("codex-review", "example-model");
const facts: PullRequestFacts = {
  open: true,
  head: origin.head,
  role: "write",
  labelled: true,
  baseRef: "main",
  draft: false,
};

describe("whether what was approved still holds", () => {
  it.each(["write", "maintain", "admin"])("goes on while the actor may write (%s)", (role) => {
    expect(recheck(origin, task, { ...facts, role })).toBeNull();
  });

  it.each<[string, Partial<PullRequestFacts>, string, string]>([
    ["closed", { open: false }, "cancelled", "closed"],
    ["pushed", { head: "c".repeat(40) }, "superseded", "pushed"],
    ["sent elsewhere", { baseRef: "next" }, "superseded", "base_changed"],
    ["unlabelled", { labelled: false }, "cancelled", "label_removed"],
    ["by one with triage", { role: "triage" }, "refused", "actor_lacks_write"],
    ["by one with a role of the organisation's own", { role: "Admin" }, "refused", "actor_lacks_write"],
    ["by one who has left", { role: "none" }, "refused", "actor_lacks_write"],
    ["closed and pushed", { open: false, head: "c".repeat(40) }, "cancelled", "closed"],
  ])("ends it: %s", (_name, change, outcome, code) => {
    expect(recheck(origin, task, { ...facts, ...change })).toMatchObject({ outcome, code });
  });

  it.each<[string, Partial<TaskSpec>, Partial<PullRequestOrigin>, string | undefined]>([
    ["ends", { onDraft: "cancel" }, { draft: false }, "drafted"],
    ["goes on where the task says nothing:", {}, { draft: false }, undefined],
    ["goes on where the task says continue:", { onDraft: "continue" }, { draft: false }, undefined],
    ["goes on where it was asked for on the draft:", { onDraft: "cancel" }, { draft: true }, undefined],
    ["goes on where its record is older and does not say:", { onDraft: "cancel" }, {}, undefined],
  ])("%s a run on what is a draft now", (_name, says, was, code) => {
    expect(recheck({ ...origin, ...was }, { ...task, ...says }, { ...facts, draft: true })?.code).toBe(code);
  });

  it("takes the task's own list for write access, whatever the case, but not on a fork", () => {
    const listed: TaskSpec = { ...task, allowUsers: ["Alice"] };
    expect(recheck(origin, listed, { ...facts, role: "read" })).toBeNull();
    expect(recheck({ ...origin, fork: true }, listed, { ...facts, role: "read" })).toMatchObject({
      code: "actor_lacks_write",
    });
  });

  it("asks no role of the operator, and ends the run with everything else that would end it", () => {
    const started: PullRequestOrigin = {
      ...origin,
      actor: OPERATOR,
      role: "operator",
      asked: { kind: "operator", of: null, instructions: null },
    };
    expect(recheck(started, task, { ...facts, role: "none", labelled: false })).toBeNull();
    expect(recheck(started, task, { ...facts, head: "c".repeat(40) })).toMatchObject({ code: "pushed" });
    expect(recheck(started, task, { ...facts, open: false })).toMatchObject({ code: "closed" });
  });

  it("asks no role of a bot, which has none: policy named it", () => {
    const bot: PullRequestOrigin = { ...origin, actor: { id: 5, login: "helper[bot]", type: "Bot" } };
    expect(recheck(bot, task, { ...facts, role: "none" })).toBeNull();
    expect(recheck(bot, task, { ...facts, open: false })).toMatchObject({ code: "closed" });
  });
});
