import { parseReview } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import type { Conversation } from "./conversation.ts";
import { inlineReviewer } from "./inline-reviewer.ts";
import type { Turn } from "./script.ts";

const DIFF = `diff --git a/src/a.js b/src/a.js
--- a/src/a.js
+++ b/src/a.js
@@ -1,1 +1,4 @@
 const a = [];
+for (let i = 0; i <= a.length; i++) {
+  // TODO
+}
`;

function turn(outputs: readonly string[]): Turn {
  const prompt = `Review it.\n\ngit diff ${"a".repeat(40)}...${"b".repeat(40)}\n`;
  return inlineReviewer({ prompt, step: outputs.length, outputs } as Conversation);
}

function answerOf(turn: Turn) {
  return turn.kind === "say" ? parseReview(turn.text) : null;
}

describe("the scripted reviewer of lines", () => {
  it("reads the diff, mends the one defect it can, and answers as a review", () => {
    expect(turn([])).toMatchObject({ kind: "run", command: `git diff ${"a".repeat(40)}...${"b".repeat(40)}` });
    expect(turn([DIFF])).toMatchObject({ kind: "run", command: "sed -i '2s/<=/</' -- src/a.js" });
    const review = answerOf(turn([DIFF, ""]));
    expect(review).toMatchObject({
      verdict: "minor_problems",
      findings: [
        { path: "src/a.js", line: 2, severity: "high", suggestion: "for (let i = 0; i < a.length; i++) {" },
        { path: "src/a.js", line: 3, suggestion: null },
      ],
    });
  });

  it("mends nothing where a name could say something to the shell, or where there is nothing", () => {
    const hostile = DIFF.replaceAll("src/a.js", "src/$(id).js");
    expect(answerOf(turn([hostile]))?.findings).toHaveLength(2);
    expect(answerOf(turn([""]))).toMatchObject({ verdict: "no_problems", findings: [] });
  });
});
