import { describe, expect, it } from "vitest";
import { triggerOf } from "./trigger.ts";
import { meaningOf, parseWebhook } from "./webhook.ts";

const options = { labels: ["codex-*"], appSlug: "mayfly-example" };
const alice = { id: 11, login: "alice", type: "User" };
const RUN = "run_01kq3v9d5e0123456789";
const WRITTEN = "2026-01-02T03:04:05Z";
const common = {
  installation: { id: 5 },
  repository: { id: 100, name: "shop", owner: { login: "example" }, default_branch: "main" },
};

function comment(over: Record<string, unknown> = {}, text: Record<string, unknown> = {}) {
  const written = { id: 9, body: "/codex review", user: { id: 11 }, created_at: WRITTEN, updated_at: WRITTEN, ...text };
  const body = {
    ...common,
    action: "created",
    sender: alice,
    issue: { number: 7, pull_request: {} },
    comment: written,
  };
  return parseWebhook({ event: "issue_comment", body: { ...body, ...over } });
}

function check(over: Record<string, unknown> = {}, run: Record<string, unknown> = {}) {
  const made = { id: 3, external_id: RUN, app: { slug: "mayfly-example" }, ...run };
  return parseWebhook({
    event: "check_run",
    body: { ...common, action: "rerequested", sender: alice, check_run: made, ...over },
  });
}

describe("a comment", () => {
  it("with a command asks for what it says", () => {
    expect(triggerOf(comment(), options)).toMatchObject({
      kind: "command",
      event: { number: 7, sender: alice, comment: { id: 9, createdAt: Date.parse(WRITTEN) } },
      command: { kind: "start", task: "review" },
    });
  });

  it.each([
    ["was edited", { action: "edited" }, {}],
    ["was deleted", { action: "deleted" }, {}],
    ["was changed before it arrived", {}, { updated_at: "2026-01-02T03:04:06Z" }],
    ["is on an issue", { issue: { number: 7 } }, {}],
    ["is another's than the sender's", {}, { user: { id: 12 } }],
    ["has no author", {}, { user: null }],
    ["is a bot's", { sender: { ...alice, type: "Bot", login: "helper[bot]" } }, {}],
    ["is our own", { sender: { ...alice, type: "Bot", login: "Mayfly-Example[bot]" } }, {}],
    ["is said to be the operator's", { sender: { id: 11, login: "the operator", type: "Operator" } }, {}],
    ["has no command", {}, { body: "I like /codex review" }],
    ["has no body", {}, { body: null }],
    ["is in a payload that has a pull request as well", { pull_request: {} }, {}],
  ])("asks for nothing when it %s", (_, over, text) => {
    expect(triggerOf(comment(over, text), options)).toMatchObject({ kind: "ignore" });
  });

  it("means the same under another delivery id, and another comment does not", () => {
    expect(meaningOf(comment())).toBe(meaningOf(comment({}, { body: "/codex fix" })));
    expect(meaningOf(comment())).not.toBe(meaningOf(comment({}, { id: 10 })));
  });
});

describe("a check run that is to be run again", () => {
  it("asks for the run that it names", () => {
    expect(triggerOf(check(), options)).toMatchObject({ kind: "rerun", of: RUN, event: { sender: alice } });
  });

  it.each([
    ["is another App's", {}, { app: { slug: "other" } }],
    ["is no App's", {}, { app: null }],
    ["names no run", {}, { external_id: "../run" }],
    ["was only completed", { action: "completed" }, {}],
    ["was asked for by a bot", { sender: { ...alice, type: "Bot", login: "helper[bot]" } }, {}],
    ["was asked for by us", { sender: { ...alice, type: "Bot", login: "mayfly-example[bot]" } }, {}],
  ])("asks for nothing when it %s", (_, over, run) => {
    expect(triggerOf(check(over, run), options)).toMatchObject({ kind: "ignore" });
  });

  it("means the same however often it is delivered", () => {
    expect(meaningOf(check())).toBe(meaningOf(check()));
    expect(meaningOf(check())).not.toBe(meaningOf(check({}, { id: 4 })));
  });
});

function suite(over: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  const made = { id: 8, head_sha: "a".repeat(40), updated_at: WRITTEN, app: { slug: "mayfly-example" }, ...more };
  return parseWebhook({
    event: "check_suite",
    body: { ...common, action: "rerequested", sender: alice, check_suite: made, ...over },
  });
}

describe("all checks of a commit that are to be run again", () => {
  it("ask for those that are the newest there", () => {
    expect(triggerOf(suite(), options)).toMatchObject({
      kind: "rerun_all",
      event: { sender: alice, suite: { id: 8, head: "a".repeat(40), updatedAt: Date.parse(WRITTEN) } },
    });
  });

  it.each([
    ["are another App's", {}, { app: { slug: "other" } }],
    ["are no App's", {}, { app: null }],
    ["were only completed", { action: "completed" }, {}],
    ["were only begun by a push", { action: "requested" }, {}],
    ["were asked for by a bot", { sender: { ...alice, type: "Bot", login: "helper[bot]" } }, {}],
    ["were asked for by us", { sender: { ...alice, type: "Bot", login: "mayfly-example[bot]" } }, {}],
    ["are of no commit", {}, { head_sha: "main" }],
    ["stand in a payload that has a check run as well", { check_run: {} }, {}],
  ])("ask for nothing when they %s", (_, over, more) => {
    expect(triggerOf(suite(over, more), options)).toMatchObject({ kind: "ignore" });
  });

  it("mean the same under another delivery id, and another once they have changed", () => {
    expect(meaningOf(suite())).toBe(meaningOf(suite({ sender: { ...alice, id: 12 } })));
    expect(meaningOf(suite())).not.toBe(meaningOf(suite({}, { updated_at: "2026-01-02T03:04:06Z" })));
  });
});
