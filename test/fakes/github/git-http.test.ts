import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { git, gitText, tryGit } from "./git-store.ts";
import type { FakeGitHub } from "./server.ts";
import { call, mint, REPO, startWithPull } from "./testing.ts";
import type { PullView } from "./views.ts";

let github: FakeGitHub;
let pull: PullView;
let folder: string;

beforeEach(async () => {
  ({ github, pull } = await startWithPull());
  folder = await mkdtemp(join(tmpdir(), "git-http-test-"));
});

afterEach(async () => {
  await github.close();
  await rm(folder, { recursive: true, force: true });
});

function remote(token: string | undefined, repo = REPO): string {
  const { host } = new URL(github.gitUrl);
  return `http://${token === undefined ? "" : `x-access-token:${token}@`}${host}/${repo}.git`;
}

it("gives a clone to a token that may read", async () => {
  const token = await mint(github, REPO, { contents: "read" });
  await git(folder, ["clone", "--quiet", "--depth=1", remote(token), "clone"]);
  expect(await readFile(join(folder, "clone/README.md"), "utf8")).toBe("# App\n");
  const uses = github.tokens()[0]?.uses ?? [];
  expect(uses.map(({ path, status }) => `${path.split(".git/")[1]} ${status}`)).toContain("git-upload-pack 200");
});

it("asks for a credential, and refuses dead ones", async () => {
  const answer = await fetch(`${github.gitUrl}/${REPO}.git/info/refs?service=git-upload-pack`);
  expect(answer.status).toBe(401);
  expect(answer.headers.get("www-authenticate")).toBe('Basic realm="GitHub"');
  const token = await mint(github, REPO, { contents: "read" });
  await call(github, "DELETE /installation/token", { as: token });
  const clone = await tryGit(folder, ["clone", "--quiet", remote(token), "clone"]);
  expect(clone.code).not.toBe(0);
  expect(clone.stderr).toContain("Authentication failed");
});

it("refuses tokens without the permission or for another repository", async () => {
  await github.createRepository({ owner: "octo", name: "other" });
  const blind = await mint(github, REPO, { issues: "read" });
  expect((await tryGit(folder, ["ls-remote", remote(blind)])).stderr).toContain("403");
  const elsewhere = await mint(github, "octo/other", { contents: "read" });
  expect((await tryGit(folder, ["ls-remote", remote(elsewhere)])).stderr).toContain("not found");
});

it("fetches one commit by its id, with a shallow history", async () => {
  const token = await mint(github, REPO, { contents: "read" });
  await git(folder, ["init", "--quiet", "--bare", "mirror"]);
  const mirror = join(folder, "mirror");
  await git(mirror, ["fetch", "--quiet", "--depth=1", remote(token), pull.headSha]);
  expect(await gitText(mirror, ["rev-list", "--count", pull.headSha])).toBe("1");
});

it("has a fork's head in the base repository, before and after a push", async () => {
  const fork = await github.openPullRequest({
    repo: REPO,
    title: "F",
    author: "eve",
    fork: "eve",
    head: { files: { e: "e" } },
  });
  const token = await mint(github, REPO, { contents: "read" });
  const ref = `refs/pull/${fork.number}/head`;
  expect(await gitText(folder, ["ls-remote", remote(token), ref])).toBe(`${fork.headSha}\t${ref}`);
  const forced = await github.forcePush(fork, { files: { e: "g" } });
  expect(await gitText(folder, ["ls-remote", remote(token), ref])).toBe(`${forced}\t${ref}`);
  expect(github.pullRequest(fork).headSha).toBe(forced);
});

it("takes a push only with contents:write, and then moves the pull request", async () => {
  const writer = await mint(github, REPO, { contents: "write" });
  await git(folder, ["clone", "--quiet", "--branch=change-a", remote(writer), "clone"]);
  const clone = join(folder, "clone");
  await writeFile(join(clone, "new.txt"), "new\n");
  await git(clone, ["add", "new.txt"]);
  await git(clone, ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "New"]);
  const reader = await mint(github, REPO, { contents: "read" });
  const refused = await tryGit(clone, ["push", "--quiet", remote(reader), "HEAD:change-a"]);
  expect(refused.stderr).toContain("403");
  expect(github.pullRequest(pull).headSha).toBe(pull.headSha);
  await git(clone, ["push", "--quiet", remote(writer), "HEAD:change-a"]);
  expect(github.pullRequest(pull).headSha).toBe(await gitText(clone, ["rev-parse", "HEAD"]));
  expect(github.deliveries().at(-1)).toMatchObject({ event: "pull_request", action: "synchronize" });
});

it("opens a pull request from a branch of a local repository", async () => {
  const token = await mint(github, REPO, { contents: "read" });
  await git(folder, ["clone", "--quiet", remote(token), "local"]);
  const local = join(folder, "local");
  await git(local, [
    "-c",
    "user.name=a",
    "-c",
    "user.email=a@example.com",
    "commit",
    "--quiet",
    "--allow-empty",
    "-m",
    "Mine",
  ]);
  const opened = await github.openPullRequest({
    repo: REPO,
    title: "L",
    author: "ann",
    branch: "mine",
    head: { gitDirectory: local, branch: "main" },
  });
  expect(opened.headSha).toBe(await gitText(local, ["rev-parse", "HEAD"]));
});
