import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GitHubBench, openGitHubAlone } from "../attack/github-bench.ts";
import { change, offer, type Offered } from "./offered.ts";

const FORK = { fork: true } as const;
const content = (text: string) => Buffer.from(text).toString("base64");

let bench: GitHubBench;
let end: () => Promise<void>;

beforeAll(async () => {
  ({ bench, close: end } = await openGitHubAlone());
});

afterAll(() => end());

const reviewsOf = ({ pull }: Offered) => bench.github.pullRequest(pull).reviews;

describe("a patch on a pull request from a fork", () => {
  it("stands beside its lines as a suggestion that GitHub can commit, and the comment leads there", async () => {
    const offered = await offer(bench, [change({ content: content("# Shelf\n\nMuch more.\n") })], FORK);
    const [review, ...more] = reviewsOf(offered);
    expect(more).toEqual([]);
    expect(review).toMatchObject({ state: "COMMENTED", commitId: offered.pull.headSha });
    expect(review?.body).toContain("> **Codex's patch**");
    expect(review?.body).toContain("whoever may push there can commit them");
    expect(review?.comments).toMatchObject([{ path: "README.md", line: 3, side: "RIGHT" }]);
    expect(review?.comments[0]?.body).toMatch(/\n\n> \*\*Codex's patch\*\*\n\n```suggestion\nMuch more\.\n```$/);
    expect(offered.comment()).toContain("[what of it the diff shows stands there as suggestions](");
    // The answer is shown as ever, and there is nothing to press.
    expect(offered.comment()).toContain("> The shelf is longer now.");
    expect(offered.check()).toMatchObject({ conclusion: "success", buttons: ["run_again"] });
  });

  it("has no suggestions where it changes nothing that the diff shows", async () => {
    const offered = await offer(bench, [change({ path: "docs/new.md", base: null })], FORK);
    expect(reviewsOf(offered)).toEqual([]);
    expect(offered.comment()).toContain("take the patch over by hand");
  });

  it("suggests nothing that hides something, gives a bot an order, or breaks a rule of patches", async () => {
    const hidden = await offer(bench, [change({ content: content("# Shelf\n\nMuch\u202E more.\n") })], FORK);
    const order = await offer(bench, [change({ content: content("# Shelf\n\n/merge now\n") })], FORK);
    for (const offered of [hidden, order]) {
      expect(
        reviewsOf(offered)
          .flatMap(({ comments }) => comments.map(({ body }) => body))
          .join("\n"),
      ).not.toContain("```suggestion");
    }
    const bad = await offer(
      bench,
      [change({ content: content("x\n") }), change({ path: "Makefile", base: null })],
      FORK,
    );
    expect(reviewsOf(bad)).toEqual([]);
  });

  it("is in the check's details as a whole, as git apply takes it", async () => {
    const text = "# Shelf\n\nMuch more.\n";
    const made = "```\nnew, with a fence\n```\n";
    const files = [
      change({ content: content(text) }),
      change({ path: "docs/new.md", base: null, content: content(made) }),
    ];
    const offered = await offer(bench, files, FORK);
    const details = offered.check().details;
    expect(details).toContain("run `git apply FILE` on a checkout of this commit");
    const [, fence = "", patch = ""] = /^(`{3,})diff\n([\s\S]*?\n)\1$/m.exec(details) ?? [];
    expect(fence).toBe("````");
    const folder = await mkdtemp(join(tmpdir(), "mayfly-fork-patch-"));
    try {
      await writeFile(join(folder, "README.md"), "# Shelf\n\nMore.\n");
      await writeFile(join(folder, "it.patch"), patch);
      await promisify(execFile)("git", ["apply", "it.patch"], { cwd: folder });
      expect(await readFile(join(folder, "README.md"), "utf8")).toBe(text);
      expect(await readFile(join(folder, "docs/new.md"), "utf8")).toBe(made);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each([
    ["a hidden character", change({ content: content("Much\u202E more.\n") })],
    ["a carriage return", change({ content: content("Much more.\r\n") })],
    ["a name that git would quote", change({ path: "docs/\u00e9 new.md", base: null })],
    ["more than a check holds", change({ content: content("x".repeat(70_000)) })],
  ])("is not in the details where %s could not be copied from there", async (_what, file) => {
    const offered = await offer(bench, [file], FORK);
    expect(offered.check().details).toBe("");
  });

  it("is not made as suggestions where Mayfly can put it on the branch", async () => {
    const offered = await offer(bench, [change({ content: content("# Shelf\n\nMuch more.\n") })]);
    expect(reviewsOf(offered)).toEqual([]);
  });

  it("is made once when GitHub's answer about it is lost", async () => {
    bench.github.failNext({ method: "POST", pathPattern: /\/reviews$/, lost: true });
    const offered = await offer(bench, [change({ content: content("# Shelf\n\nMuch more.\n") })], FORK, 2);
    expect(reviewsOf(offered)).toHaveLength(1);
    expect(offered.comment()).toContain("stands there as suggestions](");
  });
});

describe("what is asked of GitHub", () => {
  it("is nothing that GitHub's description does not have", () => {
    expect(bench.github.unknownRequests).toEqual([]);
    expect(bench.github.contractViolations).toEqual([]);
  });
});
