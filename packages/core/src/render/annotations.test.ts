import { describe, expect, it } from "vitest";
import type { Finding } from "../review.ts";
import { renderAnnotations } from "./annotations.ts";

const finding: Finding = {
  path: "src/app.ts",
  line: 7,
  start_line: null,
  side: null,
  severity: "medium",
  title: "A title",
  body: "A body.",
  suggestion: null,
};

function annotate(...findings: Partial<Finding>[]): ReturnType<typeof renderAnnotations> {
  return renderAnnotations({
    summary: "",
    verdict: "minor_problems",
    findings: findings.map((one) => ({ ...finding, ...one })),
  });
}

describe("the annotations of a review", () => {
  it("are its findings, most severe first, with the level that goes with each", () => {
    const list = annotate(
      { severity: "info", title: "e" },
      { severity: "critical", title: "a" },
      { severity: "low", title: "d" },
      { severity: "high", title: "b" },
      { title: "c", start_line: 5 },
    );
    expect(list.map(({ title, annotation_level: level }) => [title, level])).toEqual([
      ["critical: a", "failure"],
      ["high: b", "failure"],
      ["medium: c", "warning"],
      ["low: d", "notice"],
      ["info: e", "notice"],
    ]);
    expect(list[2]).toMatchObject({ path: "src/app.ts", start_line: 5, end_line: 7, message: "A body." });
  });

  it("never end before they begin", () => {
    expect(annotate({ start_line: 9 })).toMatchObject([{ start_line: 7, end_line: 7 }]);
  });

  it("leave out removed lines, which annotations cannot name", () => {
    expect(annotate({ side: "LEFT" })).toEqual([]);
  });

  it.each(["/etc/passwd", "../x", "a/./b", "a//b", "a\\b", "a\nb", "a\u202Eb", "a/", "\0"])(
    "leave out the path %j, which is none of a repository",
    (path) => {
      expect(annotate({ path })).toEqual([]);
    },
  );

  it("have words that hide nothing, bounded, and always a message", () => {
    const [long, blank] = annotate(
      { title: `a\u202E\n${"b".repeat(290)}`, body: `\x1b[31m${"c".repeat(8_000)}` },
      { title: "\u200B", body: " " },
    );
    expect(long?.title).toMatch(/^medium: a b+…$/);
    expect(long?.title.length).toBeLessThanOrEqual(255);
    expect(long?.message).toMatch(/^c{1,8000}$/);
    expect(blank?.message).toBe("medium");
  });
});
