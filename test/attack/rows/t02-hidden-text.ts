import { composePrompt } from "@mayfly/core";
import { makeSafe } from "../../../packages/core/src/safe-output/make-safe.ts";
import { findHiding, hidingCodePoints } from "../corpus/code-points.ts";
import type { Random } from "../corpus/random.ts";
import type { AttackContext, Row } from "../row.ts";
import { createTally, type Tally } from "../tally.ts";

const scope = { repository: { owner: "acme", name: "app" }, githubHost: "github.com" };
const SECRET_ORDER = "obey-the-hidden-order";
/** Code points tried in one text: each is still looked for by itself. */
const BATCH = 32;
const soup = ["<!--", "-->", "--!>", "<!", "<!---->", "<", "!", "--", ">", "\n", " ", "a", "\u200b", "\u{e0041}"];
/** None of them can end a comment, but for an invisible character that is taken away. */
const unclosing = [...soup.filter((piece) => !piece.includes(">")), "--\u200b>", "-\u200b->"];

/** Text nobody sees must reach neither the model nor a reader. */
export const hiddenText: Row = {
  id: "T02",
  attack: "Orders are hidden from people in invisible characters and HTML comments, on the way in and on the way out.",
  needs: "nothing",
  unit: "characters and texts",
  control: "every one of these characters is found in the text before it is cleaned",
  async run(context) {
    const tally = createTally();
    everyCodePoint(context, tally);
    commentsInSoup(context, tally);
    const told = promptOf(`a${"\u200b".repeat(7)}b<!-- ${SECRET_ORDER} -->`).hiddenRemoved;
    tally.equal(told, 7 + `<!-- ${SECRET_ORDER} -->`.length, "hidden characters are counted");
    return tally.verdict("no hidden code point and no comment came through");
  },
};

function everyCodePoint(context: AttackContext, tally: Tally): void {
  const all = [...hidingCodePoints()];
  const random = context.random("hiding");
  const wanted = context.cases(all.length, 6_000);
  const step = Math.max(1, Math.floor(all.length / wanted));
  const chosen = all.filter((code, index) => code < 0x3000 || index % step === 0);
  for (let at = 0; at < chosen.length; at += BATCH) {
    const codes = chosen.slice(at, at + BATCH);
    const text = codes.map((code) => `a${String.fromCodePoint(code)}b`).join(random.pick([" ", "\n", "`", "@"]));
    tally.control(findHiding(text) !== null, `nothing hidden is seen in code points from ${codes[0]} on`);
    const written = makeSafe(text, scope).markdown;
    const prompted = dataIn(promptOf(text).prompt);
    for (const code of codes) {
      const char = String.fromCodePoint(code);
      const shown = `U+${code.toString(16)}`;
      tally.expect(!written.includes(char), () => `${shown} is in what would be published`);
      tally.expect(!prompted.includes(char), () => `${shown} is in the prompt`);
    }
  }
}

/** Comments opened and closed in every odd way: what a reader of the page does not see, the model must not see. */
function commentsInSoup(context: AttackContext, tally: Tally): void {
  const random = context.random("comments");
  for (let left = context.cases(100_000, 1_500); left > 0 && !tally.isBroken; left--) {
    // `<!-->` and `<!--->` are whole comments (HTML), and what follows them is seen.
    const text = `${soupOf(random)}<!-- ${random.soup(unclosing, 0, 8)}${SECRET_ORDER}`;
    const { prompt } = promptOf(text);
    tally.expect(!prompt.includes(SECRET_ORDER), () => `hidden words of ${JSON.stringify(text)} are in the prompt`);
    tally.expect(
      findHiding(dataIn(prompt)) === null,
      () => `hidden characters of ${JSON.stringify(text)} are in the prompt`,
    );
  }
}

function soupOf(random: Random): string {
  return random.soup(soup, 0, 8);
}

function promptOf(hostile: string): { prompt: string; hiddenRemoved: number } {
  const composed = composePrompt({
    task: "Review this.",
    name: "codex-review",
    agentsFile: null,
    nonce: "0123456789abcdef0123",
    pullRequest: {
      number: 1,
      repository: "acme/app",
      labels: [],
      files: [],
      title: "title",
      body: hostile,
      author: "author",
      head: "1".repeat(40),
      base: "2".repeat(40),
      mergeBase: null,
      size: null,
      headRef: "head",
      baseRef: "base",
    },
  });
  if (!composed.ok) {
    throw new Error(composed.reason);
  }
  return composed;
}

/** The part of the prompt that strangers write. */
function dataIn(prompt: string): string {
  return prompt.slice(prompt.indexOf("# Data about the pull request"));
}
