import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isFork, meaningOf, parseWebhook, type Webhook, withOtherTasks } from "./webhook.ts";

const HEAD = "a".repeat(40);
const BASE = "b".repeat(40);

/** A payload as GitHub sends it, with fields that Mayfly does not name. */
function payload(over: Record<string, unknown> = {}, pull: Record<string, unknown> = {}) {
  return {
    action: "labeled",
    number: 7,
    label: { id: 1, name: "codex-review", color: "ededed" },
    sender: { id: 11, login: "alice", type: "User", site_admin: false },
    installation: { id: 5, node_id: "x" },
    repository: { id: 100, name: "shop", owner: { login: "example", id: 9 }, default_branch: "main", private: true },
    pull_request: {
      number: 7,
      state: "open",
      draft: false,
      title: "Add a basket",
      body: null,
      user: { login: "bob" },
      updated_at: "2026-01-02T03:04:05Z",
      labels: [{ id: 1, name: "codex-review", color: "ededed" }],
      head: {
        sha: HEAD,
        ref: "basket",
        repo: { id: 100, full_name: "example/shop", fork: false, pushed_at: "2026-01-02T03:00:00Z" },
      },
      base: { sha: BASE, ref: "main", repo: { id: 100 } },
      mergeable: null,
      changed_files: 3,
      additions: 20,
      deletions: 1,
      ...pull,
    },
    ...over,
  };
}

function parse(over: Record<string, unknown> = {}, pull: Record<string, unknown> = {}): Webhook {
  return parseWebhook({ event: "pull_request", body: payload(over, pull) });
}

describe("parseWebhook", () => {
  it("reads a labelling, and drops what it does not name", () => {
    expect(parse()).toEqual({
      kind: "labeled",
      label: "codex-review",
      installation: 5,
      repository: { id: 100, owner: "example", name: "shop", defaultBranch: "main" },
      sender: { id: 11, login: "alice", type: "User" },
      pullRequest: {
        number: 7,
        state: "open",
        draft: false,
        title: "Add a basket",
        body: "",
        author: "bob",
        updatedAt: Date.UTC(2026, 0, 2, 3, 4, 5),
        labels: ["codex-review"],
        size: { files: 3, added: 20, removed: 1 },
        head: {
          sha: HEAD,
          ref: "basket",
          repository: { id: 100, fullName: "example/shop", fork: false, pushedAt: Date.UTC(2026, 0, 2, 3) },
        },
        base: { sha: BASE, ref: "main", repositoryId: 100 },
      },
    });
  });

  it.each(["unlabeled", "synchronize", "closed"])("reads %s", (action) => {
    expect(parse({ action })).toMatchObject({ kind: action, pullRequest: { number: 7 } });
  });

  it("reads where a pull request went before, and nothing else that is edited", () => {
    const changes = { base: { ref: { from: "main" }, sha: { from: BASE } } };
    expect(parse({ action: "edited", changes })).toMatchObject({ kind: "retargeted", from: "main" });
    expect(parse({ action: "edited", changes: { title: { from: "Add" } } })).toEqual({
      kind: "ignored",
      reason: "Mayfly does not act on pull requests being edited",
    });
    expect(parse({ action: "assigned", changes }).kind).toBe("ignored");
  });

  it("knows no size where GitHub does not say all of it", () => {
    expect(parse({}, { deletions: undefined })).toMatchObject({ pullRequest: { size: null } });
  });

  it("reads a head whose repository is gone", () => {
    const webhook = parse({}, { head: { sha: HEAD, ref: "basket", repo: null } });
    expect(webhook).toMatchObject({ pullRequest: { head: { repository: null } } });
    expect(webhook.kind === "labeled" && isFork(webhook.pullRequest)).toBe(true);
  });

  it("reads the time of a push in seconds as well", () => {
    const repo = { id: 100, full_name: "example/shop", fork: false, pushed_at: 1_767_322_800 };
    expect(parse({}, { head: { sha: HEAD, ref: "basket", repo } })).toMatchObject({
      pullRequest: { head: { repository: { pushedAt: 1_767_322_800_000 } } },
    });
  });

  it("reads a ping", () => {
    expect(parseWebhook({ event: "ping", body: { zen: "Keep it simple.", hook_id: 1, hook: {} } })).toEqual({
      kind: "ping",
    });
  });

  it.each([
    ["assigned", {}],
    ["edited", {}],
    ["review_requested", {}],
    ["labeled", { label: undefined }],
  ])("ignores a pull request being %s, with a reason", (action, over) => {
    expect(parse({ action, ...over })).toMatchObject({ kind: "ignored", reason: expect.stringMatching(/\w+ \w+/) });
  });

  it.each(["opened", "reopened", "synchronize"])(
    "has other task files once a pull request is %s, into the default branch",
    (action) => {
      const webhook = parse({ action });
      expect(withOtherTasks(webhook)).toBe(webhook);
      const base = { sha: BASE, ref: "release", repo: { id: 100 } };
      expect(withOtherTasks(parse({ action }, { base }))).toBeNull();
      expect(withOtherTasks(parse({ action }, { state: "closed" }))).toBeNull();
    },
  );

  it("ignores events it does not act on, by name", () => {
    expect(parseWebhook({ event: "issues", body: { action: "labeled" } })).toEqual({
      kind: "ignored",
      reason: "Mayfly does not act on issues events",
    });
  });

  it.each<[string, string, unknown, RegExp]>([
    ["a ping that carries a pull request", "ping", payload(), /pull_request/],
    ["a ping without its parts", "ping", {}, /zen/],
    ["a ping's body as a pull request", "pull_request", { zen: "x", hook_id: 1 }, /zen/],
    ["a review's body as a pull request", "pull_request", { ...payload(), review: {} }, /review/],
    ["a comment's body as a pull request", "pull_request", { ...payload(), issue: {}, comment: {} }, /issue/],
    ["a pull request event without one", "pull_request", { action: "labeled", number: 1 }, /has a pull_request/],
    ["a pull request's body as an installation", "installation", payload(), /pull_request/],
    ["an event that is none", "Pull Request", payload(), /not one of GitHub's/],
    ["an event of no name", "", payload(), /not one of GitHub's/],
    ["a list", "pull_request", [], /not a JSON object/],
    ["null", "pull_request", null, /not a JSON object/],
    ["a number", "ping", 3, /not a JSON object/],
    ["no action", "pull_request", payload({ action: undefined }), /action/],
    ["an action that is none", "pull_request", payload({ action: "labeled\n" }), /action/],
    ["another number", "pull_request", payload({ number: 8 }), /differ/],
    ["another repository", "pull_request", payload({ repository: { ...payload().repository, id: 1 } }), /differ/],
    ["no installation", "pull_request", payload({ installation: undefined }), /installation/],
    ["no sender", "pull_request", payload({ sender: null }), /sender/],
    [
      "a sender of no known kind",
      "pull_request",
      payload({ sender: { id: 1, login: "x", type: "Ghost" } }),
      /sender\.type/,
    ],
    ["a short SHA", "pull_request", payload({}, { head: { sha: "abc", ref: "x", repo: null } }), /head\.sha/],
    [
      "a SHA that is an option",
      "pull_request",
      payload({}, { head: { sha: "--upload-pack=x", ref: "x", repo: null } }),
      /sha/,
    ],
    ["a time that is none", "pull_request", payload({}, { updated_at: "yesterday" }), /updated_at/],
    ["a huge title", "pull_request", payload({}, { title: "x".repeat(5_000) }), /title/],
    ["a huge label", "pull_request", payload({ label: { name: "x".repeat(5_000) } }), /label/],
  ])("finds %s invalid", (_, event, body, reason) => {
    expect(parseWebhook({ event, body })).toEqual({ kind: "invalid", reason: expect.stringMatching(reason) });
  });

  it("never repeats a stranger's text in a reason", () => {
    const webhook = parse({ sender: { id: "@everyone", login: "<img>", type: "@everyone" } });
    expect(JSON.stringify(webhook)).not.toMatch(/everyone|img/);
  });

  it("reads installations", () => {
    const repositories = [
      { id: 1, name: "a" },
      { id: 2, name: "b" },
    ];
    expect(
      parseWebhook({ event: "installation", body: { action: "deleted", installation: { id: 5 }, repositories } }),
    ).toEqual({
      kind: "installation",
      action: "deleted",
      installation: 5,
      gone: "deleted",
      repositoriesRemoved: [1, 2],
    });
    expect(
      parseWebhook({
        event: "installation_repositories",
        body: {
          action: "removed",
          installation: { id: 5 },
          repositories_removed: repositories,
          repositories_added: [],
        },
      }),
    ).toEqual({ kind: "installation", action: "removed", installation: 5, gone: null, repositoriesRemoved: [1, 2] });
    expect(parseWebhook({ event: "installation", body: { action: "suspend", installation: { id: 5 } } })).toEqual({
      kind: "installation",
      action: "suspend",
      installation: 5,
      gone: "suspended",
      repositoriesRemoved: [],
    });
    expect(
      parseWebhook({ event: "installation", body: { action: "created", installation: { id: 5 }, repositories } }),
    ).toEqual({ kind: "installation", action: "created", installation: 5, gone: null, repositoriesRemoved: [] });
  });

  it("never throws, whatever comes", () => {
    const event = fc.constantFrom("ping", "pull_request", "installation", "installation_repositories", "x", "");
    fc.assert(fc.property(event, fc.anything(), (name, body) => void parseWebhook({ event: name, body })));
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(payload()), "pull_request"), fc.anything(), (key, value) => {
        const inPull = parse({}, { [key]: value });
        expect([parse({ [key]: value }).kind, inPull.kind]).toEqual(expect.any(Array));
      }),
    );
  });
});

describe("meaningOf", () => {
  it("is equal for a replay, and another for a new labelling", () => {
    expect(meaningOf(parse())).toBe(meaningOf(parse({ sender: { id: 12, login: "bob", type: "User" } })));
    const later = parse({}, { updated_at: "2026-01-02T03:04:06Z" });
    expect(meaningOf(later)).not.toBe(meaningOf(parse()));
  });

  it.each([
    ["label", { label: { name: "codex-other" } }, {}],
    ["action", { action: "unlabeled" }, {}],
    ["number", { number: 8 }, { number: 8 }],
  ])("tells another %s apart", (_, over, pull) => {
    expect(meaningOf(parse(over, pull))).not.toBe(meaningOf(parse()));
  });

  it("tells two pushes in one second apart", () => {
    const pushed = (sha: string) => parse({ action: "synchronize" }, { head: { sha, ref: "x", repo: null } });
    expect(meaningOf(pushed(HEAD))).not.toBe(meaningOf(pushed(BASE)));
  });

  it("is null where nothing is asked", () => {
    expect(meaningOf({ kind: "ping" })).toBeNull();
    expect(meaningOf({ kind: "ignored", reason: "x" })).toBeNull();
  });
});
