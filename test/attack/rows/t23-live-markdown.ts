import { renderCheck } from "../../../packages/core/src/render/check.ts";
import { renderComment } from "../../../packages/core/src/render/comment.ts";
import { endedRun, endings, reportInput } from "../../../packages/core/src/render/run.fixture.ts";
import { makeSafe } from "../../../packages/core/src/safe-output/make-safe.ts";
import { corpus } from "../../safe-output/corpus.ts";
import { pieces } from "../../safe-output/pieces.ts";
import { findLive } from "../../safe-output/oracle.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const scope = { repository: { owner: "acme", name: "app" }, githubHost: "github.com" };
/** Attacks of size are judged once, alone: inside others they cost time and show nothing new. */
const small = corpus.filter((text) => text.length < 3_500);
/** The only HTML in a comment is the frame's own. */
const FRAME =
  /^html (?:<!-- mayfly:run=run_[0-9a-z]{20} -->|<details>\n<summary>[^<]{1,60}<\/summary>|<\/details>)\n?$/;

/** Judged by another Markdown parser, which shares no code with what it judges. */
export const liveMarkdown: Row = {
  id: "T23",
  attack:
    "The answer holds images, foreign links, raw HTML, mentions, references and commands that GitHub would act on.",
  needs: "nothing",
  unit: "answers",
  control: "the other parser objects to each of these in the answer as it came",
  async run(context) {
    const tally = createTally();
    for (const text of [
      "@a",
      "![a](b)",
      "[a](https://evil.example)",
      "<b>",
      "evil.com",
      "#1",
      "<!-- x -->",
      "deadbeef",
    ]) {
      tally.control(findLive(text).length > 0, `${text} is taken for harmless`);
    }
    corpus.forEach((text) => judge(tally, text));
    randomMarkdown(context, tally);
    wholeComments(context, tally);
    return tally.verdict("nothing that GitHub acts on was left");
  },
};

function judge(tally: Tally, text: string): void {
  const { markdown } = makeSafe(text, scope);
  const live = findLive(markdown);
  tally.expect(live.length === 0, () => `${live.join(", ")} is left of ${JSON.stringify(text.slice(0, 200))}`);
}

function randomMarkdown(context: AttackContext, tally: Tally): void {
  const random = context.random("markdown");
  for (let left = context.cases(100_000, 1_200); left > 0 && !tally.isBroken; left--) {
    const text = random.once(8)
      ? [random.pick(small), random.pick(["", " ", "\n", "\n\n"]), random.pick(small)].join("")
      : random.soup(pieces, 1, 24);
    judge(tally, text);
  }
}

function wholeComments(context: AttackContext, tally: Tally): void {
  const random = context.random("comments");
  for (let left = context.cases(2_000, 60); left > 0 && !tally.isBroken; left--) {
    const text = random.pick(small);
    const input = reportInput(text);
    const run = endedRun(endings.succeeded);
    for (const shown of [renderComment(run, input), renderCheck(run, { ...input, now: 0 }).summary]) {
      const live = findLive(shown).filter((one) => !FRAME.test(one));
      tally.expect(
        live.length === 0,
        () => `${live.join(", ")} is in the comment on ${JSON.stringify(text.slice(0, 200))}`,
      );
    }
  }
}
