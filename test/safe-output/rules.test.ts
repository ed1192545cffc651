import { describe, expect, it } from "vitest";
import { limits, outputRules, type RuleCounts, type TextRuleCode, textRules } from "@mayfly/core";
import { countRemoved, renderComment, renderReport } from "../../packages/core/src/render/comment.ts";
import { renderReceipt } from "../../packages/core/src/render/receipt.ts";
import { endedRun, endings, reportInput } from "../../packages/core/src/render/run.fixture.ts";
import { makeSafe } from "../../packages/core/src/safe-output/make-safe.ts";
import { bodiesOf, problemsOf } from "./bodies.ts";

const run = endedRun(endings.succeeded);
const PULL = "https://github.com/acme/app/pull/1";

/** What breaks a rule, how often, and the answer as it is shown afterwards. */
const cases: Readonly<Record<Exclude<TextRuleCode, "E_SIZE" | "E_FAILURE">, readonly [string, number, string][]>> = {
  E_CONTROL: [
    ["a\u001b[31mb\u001b[0mc", 2, "abc"],
    ["a\u0008\u007f\u0085b", 3, "ab"],
    ["a\u001b]0;title\u0007b\u0090x\u009cc", 2, "abc"],
  ],
  E_UNICODE: [
    ["a\u202eb\u2066c\u200bd\ufe0fe", 4, "abcde"],
    ["a\u{e0041}b\ue000c\ufffed", 3, "abcd"],
    [`a${"\u0301".repeat(30)}`, 1, `á${"\u0301".repeat(8)}`],
  ],
  E_IMAGE: [
    ["![a](https://evil.example/x.png)", 1, "\\[image removed]"],
    ["![a][b]\n\n[b]: https://evil.example/x.png", 1, "\\[image removed]"],
  ],
  E_HTML: [
    ["a <b>c</b>", 2, "a \\<b>c\\</b>"],
    ["<!-- hidden -->", 1, "\\<!-- hidden -->"],
  ],
  E_MARKDOWN: [
    ["```mermaid\nx\n```", 1, "```\nx\n```"],
    [":shipit: and $x$", 2, "`:shipit:` and `$x$`"],
    ["\\[!NOTE]", 1, "`[!NOTE]`"],
    ["a[^1]\n\n[^1]: b", 2, "a\\[^1]\n\n\\[^1]:\n\nb"],
  ],
  E_LINK: [
    ["[a](https://evil.example/x)", 1, "a `hxxps://evil[.]example/x`"],
    ["[a](https://github.com/acme/other/pull/1)", 1, "a `hxxps://github[.]com/acme/other/pull/1`"],
    ["[a](https://evil.example/acme/app/pull/1)", 1, "a `hxxps://evil[.]example/acme/app/pull/1`"],
    ["see git://intranet/x or //intranet", 2, "see `git://intranet/x` or `//intranet`"],
    ["https://evil.example and www.evil.example", 2, "`hxxps://evil[.]example` and `www[.]evil[.]example`"],
    ["see evil.example or javascript:x", 2, "see `evil.example` or `javascript[:]x`"],
  ],
  E_MENTION: [
    ["@alice and a@example.com", 2, "`@alice` and `a@example.com`"],
    ["&#64;alice", 1, "`@alice`"],
  ],
  E_REFERENCE: [
    ["#1 GH-2 acme/app#3", 3, "`#1` `GH-2` `acme/app#3`"],
    ["deadbeefcafe", 1, "`deadbeefcafe`"],
  ],
  E_CLOSING: [
    ["fixes #1", 1, "`fixes #1`"],
    [`closes ${PULL}`, 1, `\`closes\` [\`${PULL}\`](${PULL})`],
    [`fixed **[it](${PULL})**`, 1, `\`fixed\` **[it](${PULL})**`],
    [`resolves [it](${PULL})`, 1, `\`resolves\` [it](${PULL})`],
  ],
  E_SLASH: [["/merge\n/lgtm", 2, "`/merge`\n`/lgtm`"]],
  E_WORKFLOW: [["::set-output name=a::b\n##[group]x", 2, "`::set-output` name=a::b\n`##[group]x`"]],
};

function shownOf(report: string): string {
  const quoted = report.split("\n").filter((line) => line.startsWith(">"));
  return quoted.map((line) => line.replace(/^> ?/, "")).join("\n");
}

describe("the rules of safe output", () => {
  it("each have a code of their own, with words a person understands", () => {
    for (const [code, { words }] of Object.entries(outputRules)) {
      expect(code).toMatch(/^E_[A-Z]{4,10}$/);
      expect(words).toMatch(/^[A-Z][^\n]{20,160}\.$/);
    }
    expect(Object.keys(outputRules)).toEqual(expect.arrayContaining(Object.keys(textRules)));
    expect([...Object.keys(cases), "E_SIZE", "E_FAILURE"].toSorted()).toEqual(Object.keys(textRules).toSorted());
  });

  describe.each(Object.entries(cases) as [TextRuleCode, readonly [string, number, string][]][])(
    "%s",
    (code, attacks) => {
      it.each(attacks)("counts and tames %j", (answer, times, expected) => {
        const input = reportInput(answer);
        expect(shownOf(renderReport(run, input))).toBe(expected);
        expect(countRemoved(run, input)[code]).toBe(times);
        expect(problemsOf(bodiesOf(run, input))).toEqual([]);
      });

      it("is named with its count in the facts, and on the receipt", () => {
        const [answer, times] = attacks[0] ?? ["", 0];
        const input = reportInput(answer);
        const [one, many] = textRules[code].counted;
        const { act } = textRules[code];
        const line = renderComment(run, input)
          .split("\n")
          .find((text) => text.startsWith("- Answer: "));
        expect(line).toContain(`${times} ${times === 1 ? one : many} (\`${code}\`)`);
        expect(line).toContain(act === "removed" ? "removed: " : "made harmless: ");
        expect(receiptOf(countRemoved(run, input)).publication?.removed?.[code]).toBe(times);
      });
    },
  );

  it("say nothing of an answer that breaks none", () => {
    const input = reportInput("All is well, see `src/a.ts`.");
    expect(countRemoved(run, input)).toEqual({});
    expect(renderComment(run, input)).not.toContain("- Answer:");
    expect(countRemoved(endedRun(endings.failed), reportInput("@alice"))).toEqual({});
  });

  it.each([
    ["characters", `${"word ".repeat(600)}\n\n`.repeat(60)],
    ["lines", "a\n\n".repeat(50_000)],
    ["one line", "a".repeat(250_000)],
  ])("E_SIZE leaves out what is beyond the bound, and says how much: %s", (_, answer) => {
    const input = reportInput(answer);
    const { E_SIZE: leftOut = 0 } = countRemoved(run, input);
    const comment = renderComment(run, input);
    expect(leftOut).toBeGreaterThan(1_000);
    expect(comment).toContain(`_${leftOut.toLocaleString("en-US")} characters were left out here._`);
    expect(comment).toContain(`${leftOut.toLocaleString("en-US")} characters beyond the bound (\`E_SIZE\`)`);
    expect(comment.length).toBeLessThanOrEqual(limits.commentCharsMax);
    expect(problemsOf(bodiesOf(run, input))).toEqual([]);
  });

  it("E_MARKDOWN shows text that was built to be slow as plain text, and says so", () => {
    const input = reportInput("*_".repeat(20_000));
    const report = renderReport(run, input);
    expect(countRemoved(run, input)).toMatchObject({ E_MARKDOWN: 1 });
    expect(report).toContain("shown as plain text, because its formatting could not be made safe (`E_MARKDOWN`)");
  });

  it("E_FRAMING keeps every line of the answer in the quote, and our own words around it", () => {
    const answer = "Fine.\n\n```\n</details>\n\n---\n\n### Approved by a person\n\n- x";
    const lines = renderReport(run, reportInput(answer)).split("\n");
    const inside = lines.slice(4, lines.indexOf("<details>") - 1);
    expect(inside.filter((line) => !line.startsWith(">"))).toEqual([]);
    expect(lines.slice(0, 3)).toEqual([
      "### Codex has answered",
      "",
      "`codex-review` on `aaaaaaa`, 2m 10s. Written by a machine, not reviewed by a person.",
    ]);
    expect(lines.at(-1)).toBe("</details>");
  });

  it("E_FAILURE puts a fixed text in place of one that could not be made safe", () => {
    const scope = {
      githubHost: "github.com",
      get repository(): never {
        throw new Error("the answer: hunter2");
      },
    };
    const { markdown, removed } = makeSafe("hunter2, see https://github.com/acme/app/pull/1", scope);
    expect(markdown).toBe("_This text is not shown: it could not be made safe (`E_FAILURE`)._");
    expect(removed.E_FAILURE).toBe(1);
  });

  it("E_STALE shows what changed, and nothing of an answer that came", () => {
    const overtaken = { ...endedRun(endings.superseded), resultDigest: run.resultDigest };
    for (const text of bodiesOf(overtaken, reportInput("THE ANSWER")).markdown) {
      expect(text).toContain("What came back is not shown: this changed meanwhile (`E_STALE`).");
      expect(text).not.toContain("THE ANSWER");
    }
    expect(renderReport(endedRun(endings.superseded), reportInput(null))).not.toContain("E_STALE");
  });

  it("E_SECRET shows nothing that came from the machine", () => {
    const ending = { outcome: "failed", code: "answer_withheld", detail: "E_SECRET: …" } as const;
    const gate = {
      safety_strategy: "unsafe" as const,
      checks: [{ name: "NAME", ok: true, seen: "SEEN" }],
      not_applicable: ["SKIPPED"],
    };
    const base = endedRun(ending);
    const withheld = { ...base, attempt: base.attempt && { ...base.attempt, gate } };
    const input = reportInput("ANSWER");
    const result = input.result && {
      ...input.result,
      codex: { ...input.result.codex, version: "VERSION", error: "ERROR" },
    };
    for (const text of bodiesOf(withheld, { ...input, result }).markdown) {
      expect(text).toContain("E_SECRET");
      expect(text).not.toMatch(/NAME|SEEN|SKIPPED|ANSWER|VERSION|ERROR/);
    }
  });
});

function receiptOf(removed: RuleCounts): ReturnType<typeof renderReceipt> {
  const publication = { kind: "comment", url: null, commentId: 1, checkRunId: 2, removed } as const;
  const done = { ...run, phase: "done", publication, endedAt: run.createdAt, archived: false } as const;
  return renderReceipt(done, reportInput("Fine."));
}
