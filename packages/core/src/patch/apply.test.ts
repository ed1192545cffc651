import { describe, expect, it } from "vitest";
import type { Actor } from "../run-request.ts";
import { refuseDiscard, withDecision } from "./apply.ts";

describe("what a check says once a patch was decided on", () => {
  it("is the decision above the run's report, and the last decision alone", () => {
    const refused = withDecision("### Codex has answered\n\nFine.", "**Not applied**: closed.");
    expect(refused).toBe("**Not applied**: closed.\n\n<!-- mayfly:patch -->\n\n### Codex has answered\n\nFine.");
    const applied = withDecision(refused, "**Applied**.");
    expect(applied).toBe("**Applied**.\n\n<!-- mayfly:patch -->\n\n### Codex has answered\n\nFine.");
  });

  it("is the decision alone where GitHub would not take both", () => {
    expect(withDecision("x".repeat(65_530), "**Applied**.")).toBe("**Applied**.");
  });
});

describe("a patch", () => {
  it.each([
    ["write", "User", true],
    ["admin", "User", true],
    ["triage", "User", false],
    ["none", "User", false],
    ["admin", "Bot", false],
  ])("is discarded by somebody with the role %s, a %s: %s", (role, type, may) => {
    const actor = { id: 1, login: "alice", type } as Actor;
    expect(refuseDiscard(actor, role) === null).toBe(may);
  });
});
