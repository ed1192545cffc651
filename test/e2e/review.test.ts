import { reviewSchema } from "@mayfly/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunView } from "../../apps/orchestrator/src/web/control-api.ts";
import type { Conversation } from "../fakes/model/conversation.ts";
import { diffCommand } from "../fakes/model/reviewer.ts";
import { run, say, type Turn } from "../fakes/model/script.ts";
import type { PullView } from "../fakes/github/views.ts";
import { finding } from "../safe-output/reviews.ts";
import { startWorld, type TestWorld } from "../support/world.ts";
import { ended, endingOf, label, leave, openPull, published, RUN_MS } from "./scene.ts";

const TASK = "---\ntimeout: 10m\npublish: [comment, check, review]\n---\nReview what this pull request changes.\n";
const FINDING = { ...finding, body: "Say more, @maintainer." };
const MENDED = { ...FINDING, line: 2, severity: "medium", title: "Empty", suggestion: null };
const REVIEW = {
  summary: "It says more than before.",
  verdict: "minor_problems",
  findings: [FINDING, MENDED, { ...FINDING, line: 90, severity: "low", title: "Elsewhere", suggestion: null }],
};
/** The first finding's line has moved, the second one's is mended, and another is new. */
const SECOND = {
  ...REVIEW,
  findings: [
    { ...FINDING, line: 4 },
    { ...FINDING, line: 5, title: "Too long", suggestion: null },
  ],
};

let world: TestWorld;
let pull: PullView;
let view: RunView;
let answer: object = REVIEW;

/** Looks at the diff as a reviewer would, and answers in the shape that the request asks for. */
function structured(seen: Conversation): Turn {
  return seen.step === 0 ? run(diffCommand(seen.prompt)) : say(JSON.stringify(answer));
}

beforeAll(async () => {
  world = await startWorld({ script: structured });
  pull = await openPull(world, { name: "inline", task: TASK });
  view = await ended(world, await label(world, pull), RUN_MS);
}, 2 * RUN_MS);

afterAll(() => leave(world));

describe("a run whose task publishes a review", () => {
  it("has the model answer in a review's shape, which the task need not set", () => {
    expect(endingOf(view)).toEqual({ outcome: "succeeded", code: "answered", detail: "" });
    const formats = world.model?.requests.map(({ body }) => (body as { text?: { format?: unknown } }).text?.format);
    expect(formats?.at(-1)).toMatchObject({ type: "json_schema", schema: JSON.parse(reviewSchema) as object });
    expect(world.model?.violations).toEqual([]);
  });

  it("is one review on the approved commit, with a comment on the line that the diff shows", () => {
    const { reviews } = world.github.pullRequest(pull);
    expect(reviews.map(({ state, commitId }) => [state, commitId])).toEqual([["COMMENTED", pull.headSha]]);
    const [review] = reviews;
    expect(review?.body.startsWith(`<!-- mayfly:review=${view.run.id} -->\n`)).toBe(true);
    expect(review?.body).toContain("`README.md:90` Elsewhere");
    expect(review?.comments.map(({ path, line, side }) => [path, line, side])).toEqual([
      ["README.md", 3, "RIGHT"],
      ["README.md", 2, "RIGHT"],
    ]);
    expect(review?.comments[0]?.body).toContain("\n\n```suggestion\nMuch more.\n```");
    // Nobody is called.
    expect(review?.comments[0]?.body).not.toMatch(/(?<![`\w])@maintainer/);
  });

  it("shows its words and a link to it in the comment and the check, never its JSON", () => {
    const { comment, check } = published(world, pull, view.run.id);
    for (const text of [comment.body, check.output.summary]) {
      expect(text).toContain("It says more than before.");
      expect(text).toContain("#pullrequestreview-");
      expect(text).not.toContain('"severity"');
    }
  });

  it(
    "has its comments folded by the next run of the task, but for those that say what is still so",
    async () => {
      answer = SECOND;
      await world.github.push(pull, { files: { "README.md": "# inline\n\nNew.\nMore.\nMuch too much.\n" } });
      const next = await ended(world, await label(world, pull), RUN_MS);
      expect(endingOf(next)).toEqual({ outcome: "succeeded", code: "answered", detail: "" });
      const { reviews, comments } = world.github.pullRequest(pull);
      expect(reviews.map((one) => one.comments.map(({ line, minimizedReason }) => [line, minimizedReason]))).toEqual([
        [
          [3, null],
          [2, "outdated"],
        ],
        [[5, null]],
      ]);
      for (const text of [reviews[1]?.body, comments[0]?.body]) {
        expect(text).toContain("**1 finding still open from before**");
        expect(text).toContain("`README.md:4` Too short");
      }
      expect(world.github.contractViolations).toEqual([]);
    },
    RUN_MS,
  );
});
