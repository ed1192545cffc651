import { describe, expect, it } from "vitest";
import { limits } from "../limits.ts";
import { makeSafe } from "./make-safe.ts";
import { nothingRemoved } from "./removed.ts";

const scope = { repository: { owner: "acme", name: "app" }, githubHost: "github.com" };
const safe = (text: string) => makeSafe(text, scope).markdown;

describe("safe output", () => {
  it("leaves harmless Markdown as it was", () => {
    const text = [
      "### Title",
      "A paragraph with **bold**, _emphasis_, ~~struck~~ and `code`.",
      "- one\n- two\n  1. inner\n- [x] done",
      "> quoted",
      "| a | b |\n| - | :-: |\n| x | `y \\| z` |",
      "```ts\nconst a = `@x`; // /merge\n```",
      "---",
      "[the line](https://github.com/acme/app/blob/main/src/a.ts#L1-L2)",
    ].join("\n\n");
    expect(makeSafe(text, scope)).toEqual({
      markdown: text,
      removed: nothingRemoved(),
      plain: false,
    });
  });

  it.each([
    ["@alice", "`@alice`"],
    ["&#64;alice", "`@alice`"],
    ["(@alice),", "(`@alice`),"],
    ["@*alice*", "`@`_alice_"],
    ["Fixes: #12.", "`Fixes: #12`."],
    ["fixes\nacme/app#12", "`fixes acme/app#12`"],
    ["fixes [it](https://github.com/acme/app/issues/1)", "`fixes` [it](https://github.com/acme/app/issues/1)"],
    ["auto-fixes #12", "auto-`fixes #12`"],
    [
      "<!--fixes https://github.com/acme/app/pull/1",
      "\\<!--`fixes` [`https://github.com/acme/app/pull/1`](https://github.com/acme/app/pull/1)",
    ],
    ["/merge", "`/merge`"],
    ["::error::x", "`::error::x`"],
    ["##[group]x", "`##[group]x`"],
    ["deadbeef", "`deadbeef`"],
    ["https://evil.example/a.b", "`hxxps://evil[.]example/a.b`"],
    ["[a](http://evil.example)", "a `hxxp://evil[.]example`"],
    ["[a](javascript:x)", "a `javascript[:]x`"],
    ["a@example.com", "`a@example.com`"],
    ["![a](https://evil.example)", "\\[image removed]"],
    ["<img src=x>", "\\<img src=x>"],
    ["<!-- x -->", "\\<!-- x -->"],
    ["# a", "### a"],
    ["###### a", "#### a"],
    ["```mermaid\nx\n```", "```\nx\n```"],
    ["```\nopen", "```\nopen\n```"],
    [
      "https://github.com/acme/app/pull/1",
      "[`https://github.com/acme/app/pull/1`](https://github.com/acme/app/pull/1)",
    ],
    ["", ""],
  ])("writes %j as %j", (text, expected) => {
    expect(safe(text)).toBe(expected);
  });

  it("keeps no link when there is no repository", () => {
    const { removed } = makeSafe("[a](https://github.com/acme/app/pull/1)", { ...scope, repository: null });
    expect(removed.E_LINK).toBe(1);
  });

  it.each([
    ["characters", "word ".repeat(50_000)],
    ["lines", "a\n\n".repeat(50_000)],
    ["one line", "a".repeat(250_000)],
    ["more than is ever taken over", "b ".repeat(1_000_000)],
  ])("says how much it cut when there are too many %s", (_, text) => {
    const { markdown, removed } = makeSafe(text, scope);
    expect(markdown).toContain(`_${removed.E_SIZE.toLocaleString("en-US")} characters were left out here._`);
    expect(markdown.length).toBeLessThanOrEqual(limits.commentCharsMax);
    expect(removed.E_SIZE).toBeGreaterThan(0);
  });

  it("closes what the cut left open", () => {
    const { markdown } = makeSafe(`> - \`\`\`\n${">   x\n".repeat(5_000)}`, scope);
    expect(markdown).toMatch(/\n> {3}```\n\n_[\d,]+ characters were left out here\._$/);
  });

  it.each([["![".repeat(100_000)], ["> ".repeat(100_000)], ["*_".repeat(100_000)]])(
    "shows text that was built to be slow as plain text: %#",
    (text) => {
      const { markdown, plain } = makeSafe(text, scope);
      expect(plain).toBe(true);
      expect(markdown.startsWith("```\n")).toBe(true);
    },
  );
});
