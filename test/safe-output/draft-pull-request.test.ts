import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GitHubBench, MAINTAINER, openGitHubAlone } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { change, hindrances, NEW, offer, type Offered, WAITING } from "./offered.ts";

const kind = "draft-pull-request" as const;

let bench: GitHubBench;
let end: () => Promise<void>;

beforeAll(async () => {
  ({ bench, close: end } = await openGitHubAlone());
});

afterAll(() => end());

const headOf = ({ pull }: Offered) => bench.github.pullRequest(pull).headSha;
/** The pull requests of the repository beside the run's own. */
function drafts({ pull }: Offered): PullView[] {
  return bench.github.pullRequests(pull.repo).filter(({ number }) => number !== pull.number);
}
const branchOf = ({ run, pull }: Offered) => `codex/${pull.number}-${run.id}`;
const isBranch = async (offered: Offered) =>
  (await bench.github.readFile(offered.pull.repo, branchOf(offered), "README.md")) !== undefined;

describe("a task that opens a draft pull request", () => {
  it("opens one with its patch as one commit, into the branch that the patch was made for, however often", async () => {
    const offered = await offer(bench, [change(), change({ path: "docs/new.md", base: null })], { kind });
    expect(offered.comment()).toContain("The task opens it as a draft pull request into this branch by itself");
    await offered.settle();
    await offered.settle();
    const [draft, ...more] = drafts(offered);
    expect(more).toEqual([]);
    expect(draft).toMatchObject({
      title: `Codex's patch for #${offered.pull.number}`,
      draft: true,
      state: "open",
      headRef: branchOf(offered),
      baseRef: offered.pull.headRef,
      author: `${bench.github.appSlug}[bot]`,
    });
    for (const path of ["README.md", "docs/new.md"]) {
      const bytes = await bench.github.readFile(offered.pull.repo, draft?.headSha ?? "", path);
      expect(bytes?.toString()).toBe(NEW);
    }
    expect(headOf(offered)).toBe(offered.pull.headSha);
    expect(offered.check()).toMatchObject({ conclusion: "success", buttons: ["run_again"] });
    const { said } = offered.check();
    expect(said).toContain(
      `**The patch is [pull request #${draft?.number}](${draft?.url})**, a draft, opened by the task itself for \`${MAINTAINER}\`.`,
    );
    expect(said).toContain("> The shelf is longer now.");
  });

  it("says on it which pull request, commit and run it is of, and that nobody read it", async () => {
    const offered = await offer(bench, [change()], { kind });
    await offered.settle();
    const body = drafts(offered)[0]?.body ?? "";
    expect(body).toContain(`Codex wrote this for #${offered.pull.number}, and said [there](`);
    expect(body).toContain("No person has read it");
    expect(body).toContain(`- Made for: ${offered.pull.headSha}\n- Run: \`${offered.run.id}\``);
    expect(body).not.toContain("The shelf is longer now.");
  });

  it.each([
    ["the branch", /\/git\/refs$/],
    ["the pull request", /\/pulls$/],
  ])("opens one alone when GitHub's answer about %s is lost", async (_what, pathPattern) => {
    const offered = await offer(bench, [change()], { kind });
    bench.github.failNext({ method: "POST", pathPattern, lost: true });
    await expect(offered.settle()).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
    await offered.settle();
    expect(drafts(offered)).toHaveLength(1);
    expect(offered.check()).toMatchObject({ conclusion: "success" });
  });

  it("opens no second one once somebody has closed the first", async () => {
    const offered = await offer(bench, [change()], { kind });
    bench.github.failNext({ method: "PATCH", pathPattern: /\/check-runs\//, status: 500 });
    await expect(offered.settle()).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
    const [draft] = drafts(offered);
    await bench.github.closePullRequest(draft ?? offered.pull, { by: MAINTAINER });
    await offered.settle();
    expect(drafts(offered)).toHaveLength(1);
  });

  it("is not opened from a branch of its name that somebody else has made", async () => {
    const offered = await offer(bench, [change()], { kind });
    const files = { "README.md": "mine\n" };
    await bench.github.openPullRequest({
      repo: offered.pull.repo,
      title: "Not of the App",
      author: "author",
      branch: branchOf(offered),
      head: { files },
    });
    const before = drafts(offered).map(({ number }) => number);
    await bench.github.closePullRequest({ repo: offered.pull.repo, number: before[0] ?? 0 }, { by: "author" });
    await offered.settle();
    expect(drafts(offered).map(({ number }) => number)).toEqual(before);
    expect(offered.check()).toMatchObject({ conclusion: "action_required", buttons: WAITING });
    expect(offered.check().said).toContain("**The patch was not opened as a draft pull request**");
  });

  it("keeps its branch where GitHub says that a pull request is there already, and does not list it yet", async () => {
    const offered = await offer(bench, [change()], { kind });
    bench.github.failNext({ method: "POST", pathPattern: /\/pulls$/, lost: true });
    await expect(offered.settle()).rejects.toMatchObject({ code: "GITHUB_UNAVAILABLE" });
    bench.github.failNext({ method: "GET", pathPattern: /\/pulls$/, status: 200, body: [], times: 2 });
    await offered.settle();
    expect(await isBranch(offered)).toBe(true);
    expect(drafts(offered)).toMatchObject([{ draft: true, state: "open" }]);
    expect(offered.check().said).toContain("look whether one is there already");
    // By the time somebody presses the button GitHub lists it.
    expect(await offered.press()).toContain(`it is pull request #${drafts(offered)[0]?.number}`);
  });

  it("lets the patch wait where the repository may have no drafts, leaves no branch, and says so", async () => {
    const offered = await offer(bench, [change()], { kind });
    bench.github.failNext({
      method: "POST",
      pathPattern: /\/pulls$/,
      status: 422,
      body: { message: "Draft pull requests are not supported in this repository." },
    });
    await offered.settle();
    expect(await isBranch(offered)).toBe(false);
    expect(offered.check()).toMatchObject({ conclusion: "action_required", buttons: WAITING });
    expect(offered.check().said).toContain("not every repository may have drafts");
    expect(await offered.press()).toContain("the patch is commit");
  });

  it.each(hindrances)("opens none where $what, and says why", async ({ happens, why }) => {
    const offered = await offer(bench, [change()], { kind });
    await happens(bench, offered);
    await offered.settle();
    expect(drafts(offered)).toEqual([]);
    expect(await isBranch(offered)).toBe(false);
    expect(offered.check().said).toContain(why);
  });

  it("opens none for a fork, and none of a patch that breaks a rule", async () => {
    const fork = await offer(bench, [change()], { kind, fork: true });
    const bad = await offer(bench, [change({ path: ".github/workflows/x.yml", base: null })], { kind });
    for (const offered of [fork, bad]) {
      await offered.settle();
      expect(drafts(offered)).toEqual([]);
      expect(await isBranch(offered)).toBe(false);
    }
  });

  it("goes one way: what is a draft is neither put on the branch beside it nor discarded", async () => {
    const offered = await offer(bench, [change()], { kind });
    await offered.settle();
    const where = `it is pull request #${drafts(offered)[0]?.number}: merge or close that one`;
    expect(await offered.press()).toBe(`not applied: ${where}`);
    expect(await offered.press(MAINTAINER, "discard")).toBe(`not discarded: ${where}`);
    expect(headOf(offered)).toBe(offered.pull.headSha);
    expect(offered.check()).toMatchObject({ conclusion: "success", buttons: ["run_again"] });
  });
});

describe("what is asked of GitHub", () => {
  it("is nothing that GitHub's description does not have", () => {
    expect(bench.github.unknownRequests).toEqual([]);
    expect(bench.github.contractViolations).toEqual([]);
  });
});
