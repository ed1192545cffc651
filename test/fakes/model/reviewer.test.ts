import { describe, expect, it } from "vitest";
import { diffCommand, reviewOf } from "./reviewer.ts";

const base = "a".repeat(40);
const head = "b".repeat(40);

describe("the command the reviewer runs", () => {
  it("is the one the prompt names", () => {
    expect(diffCommand(`Review this.\n\n    git diff ${base}...${head}\n\nThank you.`)).toBe(
      `git diff ${base}...${head}`,
    );
    expect(diffCommand(`Run \`git diff ${base}...${head}\`.`)).toBe(`git diff ${base}...${head}`);
  });

  it("is the last commit's if the prompt names none", () => {
    expect(diffCommand("Review this.")).toBe("git diff HEAD~1");
  });

  it("never carries anything but object ids to the shell", () => {
    for (const prompt of [`git diff ${base}...$(id)`, "git diff main...topic", `git diff ${base}..${head}`]) {
      expect(diffCommand(prompt)).toBe("git diff HEAD~1");
    }
    expect(diffCommand(`git diff ${base}...${head};id`)).toBe(`git diff ${base}...${head}`);
  });
});

describe("the review", () => {
  const command = `git diff ${base}...${head}`;
  const short = "`git diff aaaaaaaaaaaa...bbbbbbbbbbbb`";
  const output = [
    "diff --git a/src/list.js b/src/list.js",
    "--- a/src/list.js",
    "+++ b/src/list.js",
    "@@ -10,3 +10,4 @@",
    " export function last(list) {",
    "-  return list[list.length - 1];",
    "+  // TODO `check`",
    "+  return list[list.length];",
    " }",
    "diff --git a/logo.png b/logo.png",
    "new file mode 100644",
    "Binary files /dev/null and b/logo.png differ",
    "",
  ].join("\n");

  it("names the files, counts the lines and points at what it saw", () => {
    const review = reviewOf({ command, output, exitCode: 0 });
    expect(review.split("\n\n_Written")[0]).toBe(
      [
        `${short}: 2 files changed, 2 lines added, 1 removed.`,
        "",
        "- `src/list.js`: +2 −1",
        "- `logo.png` (added): binary",
        "",
        "### Worth a second look",
        "",
        "- `src/list.js:11` This adds a `TODO`.",
        "  `` // TODO `check` ``",
        "- `src/list.js:12` `list[list.length]` is one past the last element.",
        "  `return list[list.length];`",
      ].join("\n"),
    );
  });

  it("says who wrote it", () => {
    expect(reviewOf({ command, output: "", exitCode: 0 })).toContain("a script that stands in for the model");
  });

  it("says that an empty diff is empty", () => {
    expect(reviewOf({ command, output: "\n", exitCode: 0 })).toContain(`The diff is empty: ${short} printed nothing`);
  });

  it("says when git failed, and what it said", () => {
    const review = reviewOf({ command, output: "fatal: bad object\n", exitCode: 128 });
    expect(review).toContain(`${short} ended with exit code 128, so there is no diff to review.`);
    expect(review).toContain("`fatal: bad object`");
    expect(reviewOf({ command, output: "sandbox denied", exitCode: null })).toContain("could not be run");
  });

  it("says when what came back is no diff", () => {
    expect(reviewOf({ command, output: "hello\n", exitCode: 0 })).toContain("nothing that can be read as a diff");
  });

  it("says when only a part arrived", () => {
    const review = reviewOf({ command, output: output.replace("+  return", "…9 tokens truncated…"), exitCode: 0 });
    expect(review).toContain("was left out on the way here. In the part that arrived: 2 files changed, 1 line added");
    expect(review).not.toContain("src/list.js:12");
  });

  it("counts what it leaves out", () => {
    const lines = Array.from({ length: 30 }, () => "+// TODO");
    const many = `diff --git a/a.js b/a.js\n--- /dev/null\n+++ b/a.js\n@@ -0,0 +1,30 @@\n${lines.join("\n")}\n`;
    expect(reviewOf({ command, output: many, exitCode: 0 })).toContain("- and 10 more lines");
  });

  it("lets no file name end the code it is shown as", () => {
    const tricky = "diff --git a/`x` @team b/`x` @team\nnew file mode 100644\n";
    expect(reviewOf({ command, output: tricky, exitCode: 0 })).toContain("- `` `x` @team `` (added): +0 −0");
  });
});
