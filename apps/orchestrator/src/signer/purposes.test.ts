import { describe, expect, it } from "vitest";
import { purposes } from "./purposes.ts";

const NEVER = [
  "workflows",
  "administration",
  "secrets",
  "actions",
  "members",
  "organization_administration",
  "contents",
];

describe("no purpose", () => {
  it.each(Object.entries(purposes))("asks for what the App must never hold: %s", (purpose, { permissions }) => {
    for (const [name, level] of Object.entries(permissions)) {
      expect(["read", "write"]).toContain(level);
      const isPatch = ["patch", "draft"].includes(purpose) && name === "contents";
      expect(NEVER.includes(name) && !isPatch && (level === "write" || name !== "contents")).toBe(false);
    }
  });

  it.each(Object.entries(purposes))("lets a token live as long as GitHub would: %s", (_name, { longestUseMs }) => {
    expect(longestUseMs).toBeGreaterThan(0);
    expect(longestUseMs).toBeLessThanOrEqual(10 * 60_000);
  });
});
