import { describe, expect, it } from "vitest";
import type { Actor } from "./run-request.ts";
import { triggerOf } from "./trigger.ts";
import type { PullRequestEvent, Webhook } from "./webhook.ts";

const options = { labels: ["codex-*"], appSlug: "mayfly-example" };
const alice: Actor = { id: 11, login: "alice", type: "User" };
const own: Actor = { id: 12, login: "Mayfly-Example[bot]", type: "Bot" };
const HEAD = "a".repeat(40);

function event(over: { sender?: Actor; state?: "open" | "closed" } = {}): PullRequestEvent {
  return {
    installation: 5,
    repository: { id: 100, owner: "example", name: "shop", defaultBranch: "main" },
    sender: over.sender ?? alice,
    pullRequest: {
      number: 7,
      state: over.state ?? "open",
      draft: false,
      title: "",
      body: "",
      author: "bob",
      updatedAt: 1,
      labels: [],
      size: null,
      head: { sha: HEAD, ref: "x", repository: null },
      base: { sha: HEAD, ref: "main", repositoryId: 100 },
    },
  };
}

describe("triggerOf", () => {
  it("starts a run for a label of ours", () => {
    expect(triggerOf({ ...event(), kind: "labeled", label: "codex-review" }, options)).toMatchObject({
      kind: "start",
      label: "codex-review",
      pullRequest: { head: { sha: HEAD } },
      sender: alice,
    });
  });

  it("cancels that label's runs when a person removes it", () => {
    expect(triggerOf({ ...event(), kind: "unlabeled", label: "codex-review" }, options)).toEqual({
      kind: "cancel",
      why: "label_removed",
      repositoryId: 100,
      number: 7,
      label: "codex-review",
      ending: { outcome: "cancelled", code: "label_removed", detail: "alice removed codex-review" },
    });
  });

  it("supersedes runs on older heads when commits are pushed", () => {
    expect(triggerOf({ ...event(), kind: "synchronize" }, options)).toMatchObject({
      kind: "supersede",
      number: 7,
      head: HEAD,
      ending: { outcome: "superseded", code: "pushed" },
    });
  });

  it("cancels all runs when the pull request is closed", () => {
    expect(triggerOf({ ...event(), kind: "closed" }, options)).toMatchObject({
      kind: "cancel",
      why: "closed",
      label: null,
    });
  });

  it("cancels runs whose task asks for it when the pull request is made a draft", () => {
    expect(triggerOf({ ...event(), kind: "converted_to_draft" }, options)).toEqual({
      kind: "cancel",
      why: "drafted",
      repositoryId: 100,
      number: 7,
      label: null,
      ending: { outcome: "cancelled", code: "drafted", detail: "alice made the pull request a draft" },
    });
  });

  it.each<[string, Webhook]>([
    ["another label", { ...event(), kind: "labeled", label: "bug" }],
    ["another label's removal", { ...event(), kind: "unlabeled", label: "bug" }],
    ["a label on a closed pull request", { ...event({ state: "closed" }), kind: "labeled", label: "codex-review" }],
    ["our own labelling", { ...event({ sender: own }), kind: "labeled", label: "codex-review" }],
    ["our own removal of a label", { ...event({ sender: own }), kind: "unlabeled", label: "codex-review" }],
    ["our own push", { ...event({ sender: own }), kind: "synchronize" }],
    ["our own closing", { ...event({ sender: own }), kind: "closed" }],
    ["a ping", { kind: "ping" }],
    ["what was ignored", { kind: "ignored", reason: "no reason at all" }],
    ["what was invalid", { kind: "invalid", reason: "no reason at all" }],
    [
      "a new installation",
      { kind: "installation", action: "created", installation: 5, gone: null, repositoriesRemoved: [] },
    ],
  ])("ignores %s and says why", (_, webhook) => {
    expect(triggerOf(webhook, options)).toEqual({ kind: "ignore", reason: expect.stringMatching(/\w+ \w+/) });
  });

  it("is not fooled by a person whose name is like ours", () => {
    const person: Actor = { id: 13, login: "mayfly-example", type: "User" };
    const pretender: Actor = { id: 14, login: "mayfly-example[bot]", type: "User" };
    for (const sender of [person, pretender]) {
      expect(triggerOf({ ...event({ sender }), kind: "labeled", label: "codex-x" }, options).kind).toBe("start");
    }
  });

  it("forgets what the App lost", () => {
    const lost = { kind: "installation", installation: 5 } as const;
    expect(triggerOf({ ...lost, action: "deleted", gone: "deleted", repositoriesRemoved: [1] }, options)).toMatchObject(
      {
        kind: "forget",
        isWhole: true,
        repositoryIds: [1],
        ending: { code: "installation_gone" },
      },
    );
    expect(
      triggerOf({ ...lost, action: "suspend", gone: "suspended", repositoriesRemoved: [] }, options),
    ).toMatchObject({
      kind: "forget",
      isWhole: true,
      ending: { code: "installation_gone", detail: "the App was suspended" },
    });
    expect(triggerOf({ ...lost, action: "removed", gone: null, repositoriesRemoved: [1] }, options)).toMatchObject({
      kind: "forget",
      repositoryIds: [1],
    });
  });
});
