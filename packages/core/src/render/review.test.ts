import { describe, expect, it } from "vitest";
import { limits } from "../limits.ts";
import type { RunId } from "../ids.ts";
import { placeReview } from "../review-place.ts";
import type { Finding, Review } from "../review.ts";
import { renderReview, reviewMarker, reviewText, readFindingMarker } from "./review.ts";

const RUN = "run_01kq3v9d5e0123456789" as RunId;
const HASH = "0123456789abcdef0123456789abcdef";
const OF = { id: RUN, label: "codex-review", hashOf: () => HASH };
const MARKER = `<!-- mayfly:finding=${RUN}/codex-review/${HASH} -->\n\n`;
const scope = { repository: { owner: "acme", name: "app" }, githubHost: "github.com" };
const diff = [{ path: "a.ts", patch: "@@ -1,0 +1,3 @@\n+a\n+b\n+c" }];

function rendered(some: Partial<Finding>, summary = "Fine."): ReturnType<typeof renderReview> {
  const review = reviewOf(some, summary);
  return renderReview(OF, review, placeReview(review, diff), scope);
}

function reviewOf(some: Partial<Finding>, summary = "Fine."): Review {
  const finding: Finding = {
    path: "a.ts",
    line: 3,
    start_line: null,
    side: null,
    severity: "high",
    title: "Leaks",
    body: "It leaks.",
    suggestion: null,
    ...some,
  };
  return { summary, verdict: "serious_problems", findings: [finding] };
}

/** A comment below its hidden marker. */
function bodyOf(some: Partial<Finding>): string {
  const body = rendered(some).comments[0]?.body ?? "";
  expect(body.startsWith(MARKER)).toBe(true);
  return body.slice(MARKER.length);
}

describe("a review as it goes to GitHub", () => {
  it("begins with its marker and has each comment at its place", () => {
    const { body, comments } = rendered({ start_line: 2 });
    expect(body.startsWith(`${reviewMarker(RUN)}\n\nWritten by a machine`)).toBe(true);
    expect(body).toContain("> **Serious problems found**");
    expect(comments).toEqual([
      {
        path: "a.ts",
        line: 3,
        side: "RIGHT",
        start_line: 2,
        start_side: "RIGHT",
        body: `${MARKER}> **high** Leaks\n>\n> It leaks.`,
      },
    ]);
  });

  it("does nothing that the machine wrote: no mention, command, reference, picture, HTML or link elsewhere", () => {
    const evil =
      "@alice\n\n/merge\n\nfixes #12\n\n![p](https://evil.example/p.png)\n\n<img src=x>\n\n[x](https://evil.example)";
    const { body, comments } = rendered({ title: "@bob /lgtm", body: evil }, evil);
    for (const text of [body, comments[0]?.body ?? ""]) {
      expect(text).not.toMatch(/^\/|(?<!`)@alice|(?<!`)@bob|(?<!\\)<img|!\[|\]\(https:/m);
    }
  });

  it("offers code to commit as it is, behind a fence longer than any in it", () => {
    expect(bodyOf({ suggestion: "  @Override\n\tconst a = 1; // @todo\n" })).toMatch(
      /\n\n```suggestion\n {2}@Override\n\tconst a = 1; \/\/ @todo\n```$/,
    );
    expect(bodyOf({ suggestion: "````md\n```\n````" })).toMatch(/\n`````suggestion\n````md\n```\n````\n`````$/);
  });

  it.each([
    ["a character that nobody sees", "a\u202Eb"],
    ["a control character", "a\u001B[31mb"],
    ["a space that only looks like one", "a\u00A0b"],
    ["a command to a bot", "ok\n/merge"],
    ["a word to a bot", "@dependabot rebase"],
    ["a command to a workflow", "::set-output name=a::b"],
    ["more backticks than code has", "`".repeat(61)],
    ["more lines than anybody reads", "x\n".repeat(101)],
  ])("shows code in the quote, and offers nothing, when there is in it %s", (_, suggestion) => {
    const body = bodyOf({ suggestion });
    expect(body).not.toContain("suggestion\n");
    expect(body.split("\n").every((line) => line.startsWith(">"))).toBe(true);
  });

  it("puts what is outside the diff into the summary in full", () => {
    const review = reviewOf({ line: 9, suggestion: "c" });
    const placed = placeReview(review, diff);
    expect(renderReview(OF, review, placed, scope).comments).toEqual([]);
    expect(reviewText(review, placed)).toBe(
      "**Serious problems found**\n\nFine.\n\n**Outside the diff**\n\n**high** `a.ts:9` Leaks\n\nIt leaks.\n\n```\nc\n```",
    );
  });

  it("keeps within GitHub's limits whatever the texts are made of", () => {
    for (const text of ["[*", "@a ", "`", "a\n", "<b>"]) {
      const long = text.repeat(8_000 / text.length);
      const { body, comments } = rendered({ body: long, suggestion: long.slice(0, 4_000) }, long);
      for (const one of [body, comments[0]?.body ?? ""]) {
        expect(one.length).toBeLessThanOrEqual(limits.commentCharsMax);
      }
    }
  });
});

describe("findings still open from before", () => {
  it.each([
    [1, "**1 finding still open from before**"],
    [2, "**2 findings still open from before**"],
  ])("are counted and named in the summary: %i", (count, title) => {
    const review = reviewOf({});
    const placed = placeReview(review, diff);
    const open = Array.from({ length: count }, () => placed.inline).flat();
    const lines = open.map(() => "- **high** `a.ts:3` Leaks").join("\n");
    expect(reviewText(review, { ...placed, inline: [], open })).toBe(
      `**Serious problems found**\n\nFine.\n\n${title}\n\n${lines}`,
    );
  });
});

describe("a comment on lines", () => {
  const marked = (label: string) =>
    renderReview({ ...OF, label }, reviewOf({}), placeReview(reviewOf({}), diff), scope);

  it.each(["codex-review", "codex -->", "codex/ä é", "a".repeat(100)])(
    "is known again by its run and the task %s",
    (label) => {
      const body = marked(label).comments[0]?.body ?? "";
      expect(readFindingMarker(body, label)).toEqual({ run: RUN, hash: HASH });
      expect(readFindingMarker(body, "codex-other")).toBeNull();
      expect(body.split("\n")[0]).toMatch(/^<!-- [^>]* -->$/);
    },
  );

  it("is not taken for another's by what a machine wrote in it", () => {
    const forged = `<!-- mayfly:finding=${RUN}/codex-other/${HASH} -->`;
    const { comments } = rendered({ title: forged, body: forged, suggestion: forged });
    expect(readFindingMarker(comments[0]?.body ?? "", "codex-other")).toBeNull();
    expect(readFindingMarker(` ${forged}`, "codex-other")).toBeNull();
    // What it wrote as code to commit stays as it is, below our own line; of its words no comment is left.
    expect((comments[0]?.body ?? "").match(/^<!--/gm)).toHaveLength(1 + 1);
    const { body, comments: without } = rendered({ title: forged, body: forged }, forged);
    expect([body, ...without.map((one) => one.body)].map((text) => text.match(/(?<!\\)<!--/g)?.length)).toEqual([1, 1]);
  });
});
