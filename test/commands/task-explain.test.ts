import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createProgram } from "../../apps/orchestrator/src/cli/program.ts";
import { createFakeGitHub, type FakeGitHub } from "../fakes/github/server.ts";
import { mint } from "../fakes/github/testing.ts";
import type { PullView } from "../fakes/github/views.ts";
import { createTestTerminal } from "../support/test-terminal.ts";

const TASK = "---\neffort: high\n---\nReview {{ head }}, which changes {{ changed-files }}.\n";
let github: FakeGitHub;
let folder: string;
let file: string;
let pull: PullView;
let fork: PullView;
let token: string;

beforeAll(async () => {
  github = await createFakeGitHub();
  folder = await mkdtemp(join(tmpdir(), "mf-explain-"));
  file = join(folder, "codex-review.md");
  await writeFile(file, TASK);
  const { fullName: repo } = await github.createRepository({
    owner: "example-org",
    name: "shop",
    files: { "README.md": "# Shop\n", "AGENTS.md": "Use tabs.\n" },
  });
  const open = { repo, author: "author", title: "Say more \u202e<!-- hidden -->" };
  pull = await github.openPullRequest({ ...open, head: { files: { "README.md": "# Shop\n\nMore.\n" } } });
  fork = await github.openPullRequest({ ...open, fork: "stranger", head: { files: { "AGENTS.md": "Use spaces.\n" } } });
  token = await mint(github, repo, { contents: "read", pull_requests: "read" });
});

afterAll(async () => {
  await github.close();
  await rm(folder, { recursive: true, force: true });
});

/** Fails as the command does: with a fault that has a code and words. */
async function explain(flags: readonly string[], env: Record<string, string> = { GITHUB_TOKEN: token }) {
  const settings = { HOME: "/nowhere", MAYFLY_GITHUB_URL: github.url, MAYFLY_GITHUB_WEB_URL: github.url };
  const { terminal, said } = createTestTerminal({ env: { ...settings, ...env } });
  return { code: await createProgram(terminal, ["task", "explain", ...flags, file]), ...said() };
}

const nameOf = ({ repo, number }: PullView) => `${repo}#${number}`;

describe("mayfly task explain --pr", () => {
  it("shows the prompt as a run on that pull request would have it, with the base's AGENTS.md", async () => {
    const { code, out } = await explain(["--pr", `${github.url}/${pull.repo}/pull/${pull.number}`]);
    expect(code).toBe(0);
    expect(out).toContain(`for ${nameOf(pull)}:`);
    expect(out).toContain(`Review ${pull.headSha}, which changes`);
    expect(out).toContain("Use tabs.");
    expect(out).toContain("Say more");
    expect(out).toContain("README.md");
    expect(out).not.toMatch(/\u202e|hidden -->|made up/);
  });

  it("knows by itself that the head is in a fork, and tells what it changes in AGENTS.md", async () => {
    const { out } = await explain(["--pr", nameOf(fork), "--json"], { GH_TOKEN: token });
    const told = JSON.parse(out) as { fork: boolean; promptFor: string; starters: string[]; prompt: string };
    expect(told).toMatchObject({ fork: true, promptFor: nameOf(fork) });
    expect(told.starters.join()).toContain("on a fork nobody else");
    expect(told.prompt).toContain("Use tabs.");
    expect(told.prompt).toMatch(/changes? .*AGENTS\.md/);
  });

  it("writes nothing on GitHub, and asks with that token alone", async () => {
    const [record] = github.tokens();
    expect(record?.uses.length).toBeGreaterThan(0);
    expect(record?.uses.filter(({ method }) => method !== "GET")).toEqual([]);
    expect(github.tokens()).toHaveLength(1);
    expect(github.unknownRequests).toEqual([]);
    expect(github.contractViolations).toEqual([]);
  });

  it.each([
    ["an address that is none", ["--pr", "shop/7"], /--pr wants the address of a pull request/],
    ["another host", ["--pr", "https://elsewhere.example/example-org/shop/pull/1"], /is on elsewhere\.example/],
    [
      "a number that is not there",
      ["--pr", "example-org/shop#99"],
      /shows no pull request example-org\/shop#99 with the/,
    ],
    ["--fork beside it", ["--pr", "example-org/shop#1", "--fork"], /GitHub says whether it is from one/],
  ])("refuses %s, and says what to do", async (_what, flags, words) => {
    await expect(explain(flags)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: expect.stringMatching(words),
    });
  });

  it("says which token GitHub does not take, without a word of it", async () => {
    const secret = `ghp_${"aB3".repeat(12)}`;
    const refused = explain(["--pr", nameOf(pull)], { GH_TOKEN: secret });
    await expect(refused).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: "--pr: GitHub does not take the token in GH_TOKEN",
    });
    const error = await refused.catch((caught: unknown) => caught);
    expect(`${String(error)}${(error as Error).stack ?? ""}`).not.toContain(secret);
  });
});
