import { limits, type PullRequestOrigin, type Run } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomIds } from "../../apps/orchestrator/src/host/ids.ts";
import { type GitHubBench, MAINTAINER, openGitHubAlone } from "../attack/github-bench.ts";
import type { PullView } from "../fakes/github/views.ts";
import { publisherOf } from "./publishing.ts";
import { asReview, finding, wantingReview } from "./reviews.ts";

let bench: GitHubBench;
let end: () => Promise<void>;
let bot: string;

beforeAll(async () => {
  ({ bench, close: end } = await openGitHubAlone());
  bot = `${bench.github.appSlug}[bot]`;
});

afterAll(() => end());

const TEXT = "# Shelf\n\nMore.\nEven more.\nAnd more.\n";
const [a, b, c] = [3, 4, 5].map((line) => ({ ...finding, line, title: `No. ${line}`, suggestion: null }));

/** A pull request that adds some lines, and runs of its task one after the other. */
async function openTask() {
  const { run, pull, origin } = await wantingReview(bench);
  let head = await bench.github.push(pull, { files: { "README.md": TEXT } });
  let minutes = 0;
  const nextRun = (): Run => {
    minutes += 1;
    const now: PullRequestOrigin = { ...origin, head };
    return { ...run, id: randomIds.run(Date.now() + minutes * 60_000), request: { ...run.request, origin: now } };
  };
  return {
    pull,
    nextRun,
    /** Publishes these findings as a run's; a newer one's unless it is given. */
    async publish(findings: readonly (object | undefined)[], of = nextRun()) {
      const { publisher, log, requests } = publisherOf(bench, () => asReview(findings as object[]));
      expect((await publisher.publish(of)).type).toBe("published");
      return { log, requests };
    },
    async push(text: string, more: Record<string, string> = {}) {
      head = await bench.github.push(pull, { files: { "README.md": text, ...more } });
    },
  };
}

/** Each review's comments: its author's, and which of them stand unfolded. */
function standing(pull: PullView): string[][] {
  return bench.github.pullRequest(pull).reviews.map(({ author, comments }) => [
    author.login,
    ...comments.map(({ body, minimizedReason }) => {
      const [title = "?"] = /No\. \d|Too short/.exec(body) ?? [];
      return minimizedReason === null ? title : `${title} ${minimizedReason}`;
    }),
  ]);
}

describe("comments of a task's earlier reviews", () => {
  it("are folded when a newer review is there, and nobody else's", async () => {
    const { pull, publish, nextRun } = await openTask();
    const [first, foreign, second, third] = [nextRun(), nextRun(), nextRun(), nextRun()];
    const other = { ...foreign.request, origin: { ...foreign.request.origin, label: "codex-other" } };
    await publish([a], first);
    await bench.github.addLabel(pull, "codex-other", { by: MAINTAINER });
    await publish([a], { ...foreign, request: other });
    const marked = bench.github.pullRequest(pull).reviews[0]?.comments[0]?.body ?? "";
    expect(marked).toContain(`<!-- mayfly:finding=${first.id}/`);
    bench.github.commentOnLine(pull, { by: "stranger", path: "README.md", line: 3, body: marked });
    await publish([b], third);
    const after = [
      [bot, "No. 3 outdated"],
      [bot, "No. 3"],
      ["stranger", "No. 3"],
      [bot, "No. 4"],
    ];
    expect(standing(pull)).toEqual(after);
    // One that comes late, and one that is published again, fold nothing newer.
    await publish([c], second);
    await publish([a], first);
    expect(standing(pull)).toEqual([...after, [bot, "No. 5"]]);
    expect(bench.github.contractViolations).toEqual([]);
  });

  it("stand where the finding is reported again on the same text, which is not said twice", async () => {
    const { pull, publish, push } = await openTask();
    await publish([a, b]);
    // The first line moves down, the second one says something else.
    await push("# Shelf\n\nNew.\nMore.\nOther.\nAnd more.\n");
    await publish([
      { ...a, line: 4, body: "In other words." },
      { ...b, line: 5 },
      { ...c, line: 6 },
    ]);
    expect(standing(pull)).toEqual([
      [bot, "No. 3", "No. 4 outdated"],
      [bot, "No. 4", "No. 5"],
    ]);
    const { reviews, comments } = bench.github.pullRequest(pull);
    for (const text of [reviews[1]?.body, comments.at(-1)?.body]) {
      expect(text).toContain("**1 finding still open from before**");
      expect(text).toContain("`README.md:4` No. 3");
      expect(text).not.toContain("**Outside the diff**");
    }
    // It stays for as long as it is reported, and no longer.
    await publish([{ ...a, line: 4 }]);
    expect(standing(pull).at(0)?.at(1)).toBe("No. 3");
    expect(standing(pull).slice(1)).toEqual([[bot, "No. 4 outdated", "No. 5 outdated"], [bot]]);
    await publish([]);
    expect(standing(pull).at(0)?.at(1)).toBe("No. 3 outdated");
    expect(bench.github.contractViolations).toEqual([]);
  });

  it("do not stand for a finding once a person folded them, or they are outdated", async () => {
    const { pull, publish, push } = await openTask();
    await publish([a, b]);
    bench.github.foldComment(pull, bench.github.pullRequest(pull).reviews[0]?.comments[0]?.id ?? 0);
    // The second one's line stands elsewhere, and GitHub shows its comment as outdated.
    await push("# Shelf\n\nMore.\nAnd more.\nEven more.\n");
    await publish([a, { ...b, line: 5 }]);
    expect(standing(pull)).toEqual([
      [bot, "No. 3 resolved", "No. 4 outdated"],
      [bot, "No. 3", "No. 4"],
    ]);
  });

  it("do not stand for a finding because a stranger copied the marker", async () => {
    const { pull, publish } = await openTask();
    await publish([a]);
    const [ours] = bench.github.pullRequest(pull).reviews[0]?.comments ?? [];
    bench.github.commentOnLine(pull, { by: "stranger", path: "README.md", line: 3, body: ours?.body ?? "" });
    bench.github.foldComment(pull, ours?.id ?? 0);
    await publish([a]);
    expect(standing(pull)).toEqual([
      [bot, "No. 3 resolved"],
      ["stranger", "No. 3"],
      [bot, "No. 3"],
    ]);
  });

  it("are told of and folded alike when the service crashed after its review", async () => {
    const { pull, publish, nextRun } = await openTask();
    await publish([a, b]);
    const run = nextRun();
    bench.github.failNext({ method: "POST", pathPattern: /\/check-runs$/, status: 502 });
    const { publisher } = publisherOf(bench, () => asReview([a, c] as object[]));
    await expect(publisher.publish(run)).rejects.toThrow();
    await publish([a, c], run);
    await publish([a, c], run);
    expect(standing(pull)).toEqual([
      [bot, "No. 3", "No. 4 outdated"],
      [bot, "No. 5"],
    ]);
    const text = bench.github.pullRequest(pull).comments.at(-1)?.body;
    expect(text).toContain("`README.md:5` No. 5");
    expect(text).toContain("**1 finding still open from before**");
    expect(text).not.toContain("**Outside the diff**");
  });

  it("are found behind more comments than are read", async () => {
    const { pull, publish } = await openTask();
    for (let count = 0; count <= limits.findingsReadMax; count++) {
      bench.github.commentOnLine(pull, { by: "stranger", path: "README.md", line: 3, body: "Hm." });
    }
    await publish([a]);
    await publish([b]);
    expect(standing(pull).slice(-2)).toEqual([
      [bot, "No. 3 outdated"],
      [bot, "No. 4"],
    ]);
  });

  it.each([
    ["listed", { method: "GET", pathPattern: /\/pulls\/\d+\/comments$/, status: 403 }, 0],
    ["asked for", { method: "POST", pathPattern: /^\/graphql$/, status: 502 }, 0],
    ["folded", { method: "POST", pathPattern: /^\/graphql$/, status: 502 }, 1],
  ])("hold up no review when they cannot be %s; the next one folds them", async (_, fault, passes) => {
    const { pull, publish } = await openTask();
    await publish([a]);
    const { status, ...matching } = fault;
    // A fault without a status lets its requests pass.
    bench.github.failNext({ ...matching, times: passes });
    bench.github.failNext({ ...matching, status });
    const { log } = await publish([b]);
    expect(log()).toContain("comments of earlier reviews are not folded");
    expect(standing(pull)).toEqual([
      [bot, "No. 3"],
      [bot, "No. 4"],
    ]);
    await publish([c]);
    expect(standing(pull)).toEqual([
      [bot, "No. 3 outdated"],
      [bot, "No. 4 outdated"],
      [bot, "No. 5"],
    ]);
  });
});

describe("a review whose lines GitHub refuses", () => {
  const made = (requests: readonly { route: string }[]) =>
    requests.filter(({ route }) => route.startsWith("POST") && route.endsWith("/reviews")).length;

  it("looks for them in the diff anew", async () => {
    const { pull, publish } = await openTask();
    bench.github.failNext({ method: "POST", pathPattern: /\/reviews$/, status: 422 });
    const { requests } = await publish([a]);
    expect(standing(pull)).toEqual([[bot, "No. 3"]]);
    expect(bench.github.pullRequest(pull).comments[0]?.body).not.toContain("**Outside the diff**");
    expect(requests.filter(({ route }) => route.endsWith("/files"))).toHaveLength(2);
  });

  it("goes without the one line that is refused, and keeps the others", async () => {
    const { pull, publish } = await openTask();
    bench.github.refuseLine(pull, { path: "README.md", line: 4 });
    await publish([a, b, c]);
    expect(standing(pull)).toEqual([[bot, "No. 3", "No. 5"]]);
    for (const text of [
      bench.github.pullRequest(pull).reviews[0]?.body,
      bench.github.pullRequest(pull).comments[0]?.body,
    ]) {
      expect(text).toMatch(/\*\*Outside the diff\*\*[^]*No\. 4/);
      expect(text).not.toMatch(/\*\*Outside the diff\*\*[^]*No\. [35]/);
    }
  });

  it("goes without the file whose lines are refused, and keeps those of others", async () => {
    const { pull, publish, push } = await openTask();
    await push(TEXT, { "other.md": "One.\n" });
    for (const line of [3, 4]) {
      bench.github.refuseLine(pull, { path: "README.md", line });
    }
    await publish([a, b, { ...c, path: "other.md", line: 1 }]);
    expect(standing(pull)).toEqual([[bot, "No. 5"]]);
    expect(bench.github.pullRequest(pull).comments[0]?.body).toMatch(/\*\*Outside the diff\*\*[^]*No\. 3[^]*No\. 4/);
  });

  it("goes without any when it is refused however it is tried, in as many tries as are allowed", async () => {
    const { pull, publish } = await openTask();
    bench.github.failNext({ method: "POST", pathPattern: /\/reviews$/, status: 422, times: 5 });
    const { requests } = await publish([a, b, c]);
    expect(standing(pull)).toEqual([[bot]]);
    expect(made(requests)).toBe(6);
    expect(bench.github.pullRequest(pull).comments[0]?.body).toMatch(/\*\*Outside the diff\*\*[^]*No\. 3[^]*No\. 5/);
  });
});
