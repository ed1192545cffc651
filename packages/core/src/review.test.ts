import { describe, expect, it } from "vitest";
import { matchFindings, placeOpen } from "./review-open.ts";
import { placeReview, placeWithout } from "./review-place.ts";
import { type Finding, parseReview, reviewSchema, textsOfReview, type Review } from "./review.ts";

const finding: Finding = {
  path: "src/a.ts",
  line: 2,
  start_line: null,
  side: null,
  severity: "low",
  title: "A name",
  body: "It misleads.",
  suggestion: null,
};

function reviewWith(...findings: Partial<Finding>[]): Review {
  return {
    summary: "All in all.",
    verdict: "minor_problems",
    findings: findings.map((some) => ({ ...finding, ...some })),
  };
}

/** Lines 1 to 4 and 20 to 21 on the right, 1 to 3 and 19 to 20 on the left. */
const patch = [
  "@@ -1,3 +1,4 @@ head",
  " one",
  "-two",
  "+@@ -9,9 +9,9 @@",
  "+two and more",
  " three",
  "@@ -19,2 +20,2 @@",
  " x",
  "-y",
  "+z",
  "\\ No newline at end of file",
].join("\n");
const diff = [
  { path: "src/a.ts", patch },
  { path: "logo.png", patch: null },
];

describe("parseReview", () => {
  it("reads what it wrote down as a schema", () => {
    const review = reviewWith({ suggestion: "const b = 1;", start_line: 1, side: "RIGHT" });
    expect(parseReview(JSON.stringify(review))).toEqual(review);
    const schema = JSON.parse(reviewSchema) as {
      required: string[];
      properties: { findings: { items: { properties: object } } };
    };
    expect(schema.required.toSorted()).toEqual(Object.keys(review).toSorted());
    expect(Object.keys(schema.properties.findings.items.properties)).toEqual(Object.keys(finding));
  });

  it.each<[string, string]>([
    ["no JSON", "All is well."],
    ["a list", "[]"],
    ["a key more", JSON.stringify({ ...reviewWith(), approve: true })],
    ["a name twice", JSON.stringify(reviewWith()).replace("{", '{"summary":"",')],
    ["a line before the first", JSON.stringify(reviewWith({ line: 0 }))],
    ["a severity of its own", JSON.stringify(reviewWith({ severity: "fatal" as "low" }))],
    ["too many findings", JSON.stringify(reviewWith(...Array.from({ length: 101 }, () => ({}))))],
    ["a title too long", JSON.stringify(reviewWith({ title: "x".repeat(301) }))],
    ["depth", `${"[".repeat(5_000)}${"]".repeat(5_000)}`],
  ])("takes nothing that is no review: %s", (_, text) => {
    expect(parseReview(text)).toBeNull();
  });

  it("gives every text as it reads without its escapes, and all of them together", () => {
    const escaped = JSON.stringify(reviewWith({ title: "hunter2", suggestion: "code" })).replace(
      "hunter",
      "\\u0068unter",
    );
    const texts = textsOfReview(parseReview(escaped) ?? reviewWith());
    expect(texts).toEqual(expect.arrayContaining(["hunter2", "code", "src/a.ts", "It misleads."]));
    expect(texts.at(-1)).toContain("hunter2\nIt misleads.\ncode");
  });
});

describe("placeReview", () => {
  it.each<[Partial<Finding>, string]>([
    [{ line: 2 }, "RIGHT 2"],
    [{ line: 4 }, "RIGHT 4"],
    [{ line: 21 }, "RIGHT 21"],
    [{ line: 3, side: "LEFT" }, "LEFT 3"],
    [{ line: 20, side: "LEFT" }, "LEFT 20"],
    [{ line: 3, start_line: 1 }, "RIGHT 1-3"],
    // The second line is of another hunk: the comment stays on the one that is shown.
    [{ line: 20, start_line: 4 }, "RIGHT 20"],
    [{ line: 2, start_line: 4 }, "RIGHT 2"],
    [{ line: 5 }, "beyond"],
    [{ line: 19 }, "beyond"],
    [{ line: 22 }, "beyond"],
    [{ line: 9 }, "beyond"],
    [{ line: 4, side: "LEFT" }, "beyond"],
    [{ path: "src/b.ts" }, "beyond"],
    [{ path: "logo.png", line: 1 }, "beyond"],
    [{ path: "__proto__", line: 1 }, "beyond"],
  ])("puts %j at %s", (some, where) => {
    const { inline, beyond } = placeReview(reviewWith(some), diff);
    const [one] = inline;
    const start = typeof one?.startLine === "number" ? `${one.startLine}-` : "";
    expect(one === undefined ? beyond[0]?.why : `${one.side} ${start}${one.finding.line}`).toBe(
      where === "beyond" ? "outside_diff" : where,
    );
    expect(inline.length + beyond.length).toBe(1);
  });

  it("offers a suggestion only for exactly the lines meant, on the right side", () => {
    const suggestion = "better";
    const offered = (some: Partial<Finding>) =>
      placeReview(reviewWith({ ...some, suggestion }), diff).inline[0]?.suggestion;
    expect(offered({ line: 2 })).toBe("better");
    expect(offered({ line: 4, start_line: 2 })).toBe("better");
    expect(offered({ line: 2, start_line: 2 })).toBe("better");
    expect(offered({ line: 20, start_line: 4 })).toBeNull();
    expect(offered({ line: 2, start_line: 4 })).toBeNull();
    expect(offered({ line: 2, side: "LEFT" })).toBeNull();
  });

  it("keeps ten, the most severe first, and the rest for the summary", () => {
    const many = [...Array.from({ length: 11 }, () => ({})), { severity: "critical" as const, title: "Last" }];
    const { inline, beyond } = placeReview(reviewWith(...many), diff);
    expect(inline.map(({ finding: { title } }) => title)).toEqual([
      "Last",
      ...Array.from({ length: 9 }, () => "A name"),
    ]);
    expect(beyond.map(({ why }) => why)).toEqual(["too_many", "too_many"]);
    expect(placeReview(reviewWith(...many), []).beyond).toHaveLength(12);
  });
});

describe("a finding that is reported again", () => {
  const hashOf = (identity: string) => identity;
  const placedOf = (...some: Partial<Finding>[]) => placeReview(reviewWith(...some), diff).inline;
  /** Which findings have a comment, for comments that say these findings on these lines. */
  const matched = (findings: Partial<Finding>[], before: Partial<Finding>[], lines: (number | null)[]) => {
    const inline = placedOf(...findings);
    const hashes = placedOf(...before).map(({ finding: { path, title }, side, text }) =>
      JSON.stringify([path, side, text, title]),
    );
    const comments = hashes.map((hash, index) => ({ hash, line: lines[index] ?? null }));
    const found = matchFindings(inline, comments, hashOf);
    return inline.map((one) => found.get(one)?.line);
  };

  it("is known by its file, side, line's text and title, wherever the line is now and whatever else is said", () => {
    expect(matched([{ line: 3, body: "In other words.", severity: "high" }], [{ line: 3 }], [7])).toEqual([7]);
  });

  it.each<[string, Partial<Finding>]>([
    ["text of the line", { line: 4 }],
    ["side", { line: 3, side: "LEFT" }],
    ["title", { line: 3, title: "Another name" }],
  ])("is a new one with another %s", (_, some) => {
    expect(matched([some], [{ line: 3 }], [3])).toEqual([undefined]);
  });

  it("takes one comment each where some are the same, first the one on its very line", () => {
    const same = { line: 3 };
    expect(matched([same, same], [same], [3])).toEqual([3, undefined]);
    expect(matched([same, same], [same, same], [9, 3])).toEqual([3, 9]);
  });

  it("stands among those open from before, and one that is left out in the summary", () => {
    const placed = placeReview(reviewWith({ title: "Old" }, { title: "New" }, { title: "Refused" }), diff);
    const [old, , refused] = placed.inline;
    const left = placeOpen(
      placeWithout(
        placed,
        placed.inline.filter((one) => one === refused),
      ),
      {
        has: (one) => one === old,
      },
    );
    expect(left.inline.map(({ finding: { title } }) => title)).toEqual(["New"]);
    expect(left.open.map(({ finding: { title } }) => title)).toEqual(["Old"]);
    expect(left.beyond).toEqual([{ finding: refused?.finding, why: "outside_diff" }]);
  });
});
