import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FakeGitHub } from "./server.ts";
import { API, call, mint, REPO, startWithPull } from "./testing.ts";
import type { Answered } from "./testing.ts";
import type { PullView } from "./views.ts";

let github: FakeGitHub;
let pull: PullView;
let as: string;

beforeEach(async () => {
  ({ github, pull } = await startWithPull());
  as = await mint(github, REPO, { contents: "write", pull_requests: "write", checks: "write" });
});

afterEach(() => github.close());

function ask(request: string, body?: unknown, accept?: string): Promise<Answered> {
  return call(github, request, { as, body, ...(accept === undefined ? {} : { accept }) });
}

describe("pull requests", () => {
  it("are counted from the merge base, not from the tip of the base", async () => {
    await github.commit(REPO, "main", { files: { "later.md": "later\n" } });
    const { body } = await ask(`GET ${API}/pulls/1`);
    expect(body).toMatchObject({ number: 1, state: "open", commits: 1, changed_files: 2, additions: 2, deletions: 1 });
    expect(body.head.sha).toBe(pull.headSha);
    const files = await ask(`GET ${API}/pulls/1/files`);
    expect(files.body).toMatchObject([
      { filename: "src/a.ts", status: "modified", patch: expect.stringContaining("+TWO") },
      { filename: "src/b.bin", status: "added" },
    ]);
    expect(files.body[1]).not.toHaveProperty("patch");
    expect((await ask(`GET ${API}/pulls/1/commits`)).body).toMatchObject([{ sha: pull.headSha }]);
    expect(github.contractViolations).toEqual([]);
  });

  it("are compared with merge base, distance and files", async () => {
    const tip = await github.commit(REPO, "main", { files: { "later.md": "later\n" } });
    const { body } = await ask(`GET ${API}/compare/${tip}...${pull.headSha}`);
    expect(body).toMatchObject({ status: "diverged", ahead_by: 1, behind_by: 1, total_commits: 1 });
    expect(body.merge_base_commit.sha).toBe(pull.baseSha);
    expect(body.files).toHaveLength(2);
    expect((await ask(`GET ${API}/compare/main...nowhere`)).status).toBe(404);
  });

  it("are listed by state, page by page", async () => {
    await github.openPullRequest({ repo: REPO, title: "Second", author: "ann", head: { files: { x: "x" } } });
    await github.closePullRequest(pull);
    expect((await ask(`GET ${API}/pulls`)).body).toMatchObject([{ number: 2 }]);
    expect((await ask(`GET ${API}/pulls?state=closed`)).body).toMatchObject([{ number: 1, state: "closed" }]);
    const first = await ask(`GET ${API}/pulls?state=all&per_page=1`);
    expect(first.body).toHaveLength(1);
    expect(first.headers.get("link")).toContain('page=2>; rel="next"');
    expect(first.headers.get("link")).toContain('rel="last"');
  });

  it("are shown to people with everything escaped", async () => {
    github.comment(pull, "<script>alert(1)</script>", { by: "ann" });
    const page = await (await fetch(pull.url)).text();
    expect(page).toContain("&lt;script&gt;");
    expect(page).not.toContain("<script>");
  });
});

describe("reviews", () => {
  it("take comments on lines of the diff, and refuse others", async () => {
    const line = { path: "src/a.ts", line: 4, side: "RIGHT", body: "Why four?" };
    const good = await ask(`POST ${API}/pulls/1/reviews`, { event: "COMMENT", body: "Fine.", comments: [line] });
    expect(good.body).toMatchObject({ state: "COMMENTED", commit_id: pull.headSha, user: { login: "mayfly[bot]" } });
    const elsewhere = { ...line, line: 40 };
    expect(
      (await ask(`POST ${API}/pulls/1/reviews`, { event: "COMMENT", body: "x", comments: [elsewhere] })).status,
    ).toBe(422);
    expect((await ask(`POST ${API}/pulls/1/reviews`, { event: "COMMENT" })).status).toBe(422);
    expect((await ask(`GET ${API}/pulls/1/comments`)).body).toMatchObject([
      { path: "src/a.ts", line: 4, body: "Why four?" },
    ]);
    expect(github.pullRequest(pull).reviews).toHaveLength(1);
    expect(github.contractViolations).toEqual([]);
  });
});

describe("comments", () => {
  it("are created, changed, listed and deleted", async () => {
    const { body } = await ask(`POST ${API}/issues/1/comments`, { body: "one" });
    expect((await ask(`PATCH ${API}/issues/comments/${body.id}`, { body: "two" })).body).toMatchObject({
      id: body.id,
      body: "two",
    });
    expect((await ask(`GET ${API}/issues/1/comments`)).body).toMatchObject([
      { id: body.id, user: { login: "mayfly[bot]", type: "Bot" } },
    ]);
    expect((await ask(`DELETE ${API}/issues/comments/${body.id}`)).status).toBe(204);
    expect((await ask(`GET ${API}/issues/comments/${body.id}`)).status).toBe(404);
    expect(github.contractViolations).toEqual([]);
  });

  it("take a reaction once, and only of GitHub's kinds", async () => {
    const { body } = await ask(`POST ${API}/issues/1/comments`, { body: "one" });
    const reactions = `POST ${API}/issues/comments/${body.id}/reactions`;
    const first = await ask(reactions, { content: "eyes" });
    expect(first).toMatchObject({ status: 201, body: { content: "eyes", user: { login: "mayfly[bot]" } } });
    expect(await ask(reactions, { content: "eyes" })).toMatchObject({ status: 200, body: { id: first.body.id } });
    const { body: now } = await ask(`GET ${API}/issues/comments/${body.id}`);
    expect(now.reactions).toMatchObject({ total_count: 1, eyes: 1, heart: 0 });
    expect((await ask(`POST ${API}/issues/comments/1/reactions`, { content: "eyes" })).status).toBe(404);
    expect(github.contractViolations).toEqual([]);
    expect((await ask(reactions, { content: "sneeze" })).status).toBe(422);
  });

  it("are refused when blank or longer than GitHub takes", async () => {
    expect((await ask(`POST ${API}/issues/1/comments`, { body: "x".repeat(65_536) })).status).toBe(201);
    expect((await ask(`POST ${API}/issues/1/comments`, { body: "x".repeat(65_537) })).status).toBe(422);
    expect((await ask(`POST ${API}/issues/1/comments`, { body: " " })).status).toBe(422);
  });
});

describe("check runs", () => {
  it("need a conclusion when completed, and a commit that is there", async () => {
    const base = { name: "Codex", head_sha: pull.headSha };
    expect((await ask(`POST ${API}/check-runs`, { ...base, status: "completed" })).status).toBe(422);
    expect((await ask(`POST ${API}/check-runs`, { ...base, head_sha: "1".repeat(40) })).status).toBe(422);
    const { body } = await ask(`POST ${API}/check-runs`, { ...base, status: "in_progress", external_id: "run_1" });
    expect(body).toMatchObject({ status: "in_progress", conclusion: null, external_id: "run_1" });
    const done = await ask(`PATCH ${API}/check-runs/${body.id}`, { conclusion: "success" });
    expect(done.body).toMatchObject({ status: "completed", conclusion: "success", completed_at: expect.any(String) });
    expect(github.contractViolations).toEqual([]);
  });

  it("refuse too much text, too many annotations and too many buttons", async () => {
    const base = { name: "Codex", head_sha: pull.headSha };
    const output = { title: "t", summary: "s" };
    const annotation = { path: "a", start_line: 1, end_line: 1, annotation_level: "notice", message: "m" };
    const action = { label: "l", description: "d", identifier: "i" };
    for (const more of [
      { output: { ...output, summary: "s".repeat(65_536) } },
      { output: { ...output, annotations: Array.from({ length: 51 }, () => annotation) } },
      { actions: Array.from({ length: 4 }, () => action) },
      { actions: [{ ...action, label: "l".repeat(21) }] },
      { actions: [{ ...action, description: "d".repeat(41) }] },
    ]) {
      expect((await ask(`POST ${API}/check-runs`, { ...base, ...more })).status).toBe(422);
    }
    expect(github.checkRuns(REPO)).toEqual([]);
  });

  it("are listed for a commit, the newest of each name", async () => {
    const base = { name: "Codex", head_sha: pull.headSha };
    await ask(`POST ${API}/check-runs`, { ...base, external_id: "old" });
    await ask(`POST ${API}/check-runs`, { ...base, external_id: "new" });
    const latest = await ask(`GET ${API}/commits/${pull.headSha}/check-runs?check_name=Codex`);
    expect(latest.body).toMatchObject({ total_count: 1, check_runs: [{ external_id: "new" }] });
    expect((await ask(`GET ${API}/commits/${pull.headSha}/check-runs?filter=all`)).body.total_count).toBe(2);
  });
});

describe("commits by API", () => {
  it("build a tree on the head, move the branch and with it the pull request", async () => {
    const blob = await ask(`POST ${API}/git/blobs`, { content: "aGVsbG8K", encoding: "base64" });
    const tree = [
      { path: "src/new.txt", mode: "100644", type: "blob", sha: blob.body.sha },
      { path: "src/b.bin", mode: "100644", type: "blob", sha: null },
    ];
    const { body: head } = await ask(`GET ${API}/git/commits/${pull.headSha}`);
    const made = await ask(`POST ${API}/git/trees`, { base_tree: head.tree.sha, tree });
    const commit = await ask(`POST ${API}/git/commits`, {
      message: "Patch",
      tree: made.body.sha,
      parents: [pull.headSha],
    });
    const moved = await ask(`PATCH ${API}/git/refs/heads/change-a`, { sha: commit.body.sha });
    expect(moved.status).toBe(200);
    expect(github.pullRequest(pull).headSha).toBe(commit.body.sha);
    expect(String(await github.readFile(REPO, "change-a", "src/new.txt"))).toBe("hello\n");
    expect(await github.readFile(REPO, "change-a", "src/b.bin")).toBeUndefined();
    expect((await ask(`PATCH ${API}/git/refs/heads/change-a`, { sha: pull.baseSha })).body.message).toBe(
      "Update is not a fast forward",
    );
    expect(github.contractViolations).toEqual([]);
  });

  it("are refused for workflows, and for paths that leave the tree", async () => {
    const entry = { mode: "100644", type: "blob", content: "x" };
    expect((await ask(`POST ${API}/git/trees`, { tree: [{ ...entry, path: ".github/workflows/x.yml" }] })).status).toBe(
      403,
    );
    expect((await ask(`POST ${API}/git/trees`, { tree: [{ ...entry, path: "../x" }] })).status).toBe(422);
    expect((await ask(`POST ${API}/git/trees`, { tree: [{ ...entry, path: ".git/config" }] })).status).toBe(422);
  });

  it("become a draft pull request of the App", async () => {
    await ask(`POST ${API}/git/refs`, { ref: "refs/heads/codex/patch", sha: pull.headSha });
    const opened = await ask(`POST ${API}/pulls`, { title: "Patch", head: "codex/patch", base: "main", draft: true });
    expect(opened.body).toMatchObject({ number: 2, draft: true, user: { login: "mayfly[bot]" } });
    expect((await ask(`POST ${API}/pulls`, { title: "Patch", head: "codex/patch", base: "main" })).status).toBe(422);
    expect(github.contractViolations).toEqual([]);
  });
});
