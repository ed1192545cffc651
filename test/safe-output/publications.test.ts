import { type Result, withheldEnding } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { after, type GitHubBench, openGitHubAlone } from "../attack/github-bench.ts";
import { factsOf, publisherOf, ready, saying, SECRET, shownOn } from "./publishing.ts";
import { asReview, finding, wantingReview } from "./reviews.ts";

let bench: GitHubBench;
let end: () => Promise<void>;

beforeAll(async () => {
  ({ bench, close: end } = await openGitHubAlone());
});

afterAll(() => end());

describe("an answer that is a review", () => {
  it("is one review on the approved commit, with a comment on each line that the diff shows", async () => {
    const { run, pull, origin } = await wantingReview(bench);
    const facts = () =>
      asReview([finding, { ...finding, start_line: 2, title: "Both" }, { ...finding, line: 90, title: "Elsewhere" }]);
    const { publisher, requests } = publisherOf(bench, facts);
    expect((await publisher.publish(run)).type).toBe("published");
    // Again, and by one that remembers nothing.
    await publisher.publish(run);
    await publisherOf(bench, facts).publisher.publish(run);
    const { reviews, comments, checkRuns } = bench.github.pullRequest(pull);
    expect(reviews.map(({ state, commitId }) => [state, commitId])).toEqual([["COMMENTED", origin.head]]);
    expect(reviews[0]?.comments.map(({ line, startLine, path }) => [path, startLine, line])).toEqual([
      ["README.md", null, 3],
      ["README.md", 2, 3],
    ]);
    expect(reviews[0]?.comments[0]?.body).toContain("\n\n```suggestion\nMuch more.\n```");
    expect(requests.filter(({ route }) => route.startsWith("POST") && route.endsWith("/reviews"))).toHaveLength(1);
    for (const text of [reviews[0]?.body, comments[0]?.body, checkRuns[0]?.output.summary]) {
      expect(text).toContain("`README.md:90` Elsewhere");
      expect(text).not.toContain('"severity"');
    }
    expect(comments[0]?.body).toContain("#pullrequestreview-");
    expect(bench.github.contractViolations).toEqual([]);
  });

  it("is none when it has not its shape, and then the comment says so", async () => {
    const { run, pull } = await wantingReview(bench);
    await publisherOf(bench, saying("All is well.")).publisher.publish(run);
    const { reviews, comments } = bench.github.pullRequest(pull);
    expect(reviews).toEqual([]);
    expect(comments[0]?.body).toContain("the answer does not have the shape of a review");
    expect(comments[0]?.body).toContain("All is well.");
  });

  it("is none when it does not fit the stricter schema of the task itself", async () => {
    const { run, pull } = await wantingReview(bench);
    const task = { ...run.request.task, outputSchema: '{"properties":{"findings":{"maxItems":1}}}' };
    const own = { ...run, request: { ...run.request, task } };
    await publisherOf(bench, () => asReview([finding, finding])).publisher.publish(own);
    const { reviews, comments } = bench.github.pullRequest(pull);
    expect(reviews).toEqual([]);
    expect(comments[0]?.body).toContain("at `/findings` there must be at most 1 items, and there are 2");
    expect(comments[0]?.body).not.toContain("the shape of a review");
  });

  it("is not shown when the head has moved", async () => {
    const { run, pull } = await wantingReview(bench);
    await bench.github.push(pull, { files: { "README.md": "# Other\n" } });
    const event = await publisherOf(bench, () => asReview([finding])).publisher.publish(run);
    expect(event).toMatchObject({ type: "ending_changed", ending: { code: "pushed" } });
    expect(bench.github.pullRequest(pull).reviews).toEqual([]);
  });

  it("is withheld when a credential is in it, over lines or over its parts", async () => {
    // In JSON a line's end is two characters, one of them a letter.
    const lines = asReview([], SECRET.match(/.{7}/g)?.join("\n"));
    const parts = asReview([{ ...finding, title: "hunter2", body: "hunter2", suggestion: "hunter2" }]);
    for (const facts of [lines, parts]) {
      const { run, pull } = await wantingReview(bench);
      const event = await publisherOf(bench, () => facts).publisher.publish(run);
      expect(event).toMatchObject({ type: "ending_changed", ending: { code: "answer_withheld" } });
      expect(bench.github.pullRequest(pull).reviews).toEqual([]);
    }
  });

  it("has its findings beside the lines in the check too, 50 at once, each once whatever breaks", async () => {
    const { run, pull } = await wantingReview(bench);
    const facts = () =>
      asReview(Array.from({ length: 99 }, (_, index) => ({ ...finding, line: index + 1, title: `No. ${index}` })));
    // The second lot is refused, and what asked asks again.
    bench.github.failNext({ method: "PATCH", pathPattern: /\/check-runs\//, status: 502 });
    await expect(publisherOf(bench, facts).publisher.publish(run)).rejects.toThrow();
    expect(bench.github.pullRequest(pull).checkRuns[0]?.output.annotations).toHaveLength(50);
    const { publisher, requests } = publisherOf(bench, facts);
    await publisher.publish(run);
    await publisher.publish(run);
    const [check, ...others] = bench.github.pullRequest(pull).checkRuns;
    expect(others).toEqual([]);
    const titles = check?.output.annotations.map((annotation) => (annotation as { title: string }).title);
    expect(titles).toEqual(Array.from({ length: 99 }, (_, index) => `high: No. ${index}`));
    expect(requests.filter(({ route }) => route.startsWith("POST") && route.endsWith("/check-runs"))).toEqual([]);
    expect(bench.github.contractViolations).toEqual([]);
  });

  it("is all there is when the task names nothing else; without one there is a check", async () => {
    const only = async () => {
      const { run, pull } = await wantingReview(bench);
      const task = { ...run.request.task, publish: ["review"] as const };
      return { pull, run: { ...run, request: { ...run.request, task } } };
    };
    const shown = await only();
    expect(await publisherOf(bench, () => asReview([finding])).publisher.publish(shown.run)).toMatchObject({
      publication: {
        kind: "review",
        url: expect.stringContaining("#pullrequestreview-") as string,
        commentId: null,
        checkRunId: null,
      },
    });
    expect(shownOn(bench, shown.pull)).toBe("[[],[]]");
    const none = await only();
    expect(await publisherOf(bench, saying("All is well.")).publisher.publish(none.run)).toMatchObject({
      publication: { kind: "check" },
    });
    expect(bench.github.pullRequest(none.pull).checkRuns[0]?.output.summary).toContain("All is well.");
  });
});

describe("structured output that is no review", () => {
  const answering = async (text: string, outputSchema = '{"type":"object"}') => {
    const { run, pull } = await ready(bench);
    const task = { ...run.request.task, outputSchema };
    const said: Result["structured"] = { state: "present", text };
    const { publisher } = publisherOf(bench, () =>
      factsOf((result) => ({ ...result, final_message: said, structured: said })),
    );
    const event = await publisher.publish({ ...run, request: { ...run.request, task } });
    const { checkRuns, comments } = bench.github.pullRequest(pull);
    return { event, publisher, run, check: checkRuns[0], comment: comments[0] };
  };

  it("is data in the details of the check, in one fence", async () => {
    const { check } = await answering('{"ok":true,"note":"```\\n/merge"}');
    expect(check?.output.text).toContain(
      '```json\n{\n  "ok": true,\n  "note": "\\u0060\\u0060\\u0060\\n/merge"\n}\n```',
    );
    expect(bench.github.contractViolations).toEqual([]);
  });

  it("is not shown as data when it does not fit its schema: check and comment say where, and the answer stays plain", async () => {
    const schema = '{"type":"object","properties":{"risk":{"enum":["low","high"]}},"additionalProperties":false}';
    const { event, check, comment } = await answering('{"risk":"none at all"}', schema);
    const words = "at `/risk` there must be one of the 2 values that the schema names.";
    expect(event).toMatchObject({ type: "published" });
    expect(check?.output.text).toBe(
      `The structured output is not shown: it does not fit the task's output schema: ${words}`,
    );
    expect(comment?.body).toContain(`The answer does not fit the task's output schema: ${words}`);
    expect(comment?.body).toContain("none at all");
    const fitting = await answering('{"risk":"low"}', schema);
    expect(fitting.check?.output.text).toContain('"risk": "low"');
    expect(fitting.comment?.body).not.toContain("does not fit");
    expect(bench.github.contractViolations).toEqual([]);
  });

  it("goes from there when its run ends otherwise after all", async () => {
    const { run, publisher, check } = await answering('{"ok":true}');
    expect(check?.output.text).toContain('"ok": true');
    await publisher.publish(after(run, [{ type: "ending_changed", ending: withheldEnding([]) }]));
    expect(check?.output.text).toBe("");
  });

  it("is withheld when a credential is in it, however its letters are written", async () => {
    const escaped = SECRET.split("")
      .map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join("");
    const { event, check } = await answering(`{"key":"${escaped}"}`);
    expect(event).toMatchObject({ type: "ending_changed", ending: { code: "answer_withheld" } });
    expect(check).toBeUndefined();
  });
});
