import { describe, expect, it } from "vitest";
import { limits } from "../limits.ts";
import { layOutStructured, renderStructured } from "./structured.ts";

const rendered = (value: unknown): string => renderStructured({ state: "present", text: JSON.stringify(value) }, null);

describe("structured output", () => {
  it("is one fenced block of JSON, one value on a line", () => {
    expect(rendered({ ok: true, list: [1] })).toBe(
      'Structured output, written by a machine:\n\n```json\n{\n  "ok": true,\n  "list": [\n    1\n  ]\n}\n```',
    );
  });

  it.each([
    "```\n/merge",
    "a\u2028/merge",
    "a\u202Eb\u200B",
    "\x1b[31mred\x9b",
    "\u{E0041}",
    "~~~",
    "`".repeat(500),
    "👩‍💻",
  ])("keeps %j in its block, in its line, visible, and the same data", (text) => {
    const value = { [text]: [text] };
    const laidOut = layOutStructured(JSON.stringify(value)) ?? "";
    expect(JSON.parse(laidOut)).toEqual(value);
    expect(laidOut.split("\n")).toHaveLength(5);
    expect(laidOut).not.toMatch(/`{3}|(?!\n)[\p{Cc}\p{Cf}\p{Zl}]/u);
    expect(rendered(value).match(/^```/gm)).toHaveLength(2);
  });

  it.each(["", "{", '{"a":1,"a":2}', '{"__proto__":1}', "[".repeat(40) + "]".repeat(40), "It is fine."])(
    "is not shown when it is %j",
    (text) => {
      expect(renderStructured({ state: "present", text }, null)).toMatch(/^The structured output is not shown/);
    },
  );

  it("is not shown when it is too long, and says how long it is", () => {
    expect(rendered("a".repeat(limits.commentCharsMax))).toContain("too long (60,002 characters)");
    expect(rendered(Array.from({ length: limits.commentLinesMax }, () => 0))).toContain("too long");
    expect(rendered("a".repeat(59_000)).length).toBeLessThan(limits.commentCharsMax);
  });

  it("says why there is none", () => {
    expect(renderStructured({ state: "withheld", why: "too_big" }, null)).toContain("did not return it (too big)");
    expect(renderStructured(null, null)).toContain("(absent)");
  });
});
