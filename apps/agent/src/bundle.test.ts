import { describe, expect, it } from "vitest";
import { bundleAgent } from "./bundle.ts";

// Read, parsed and compiled at every start, which is slow where the machine is emulated.
const BYTES_MAX = 600 * 1024;

describe("bundleAgent", () => {
  it("gives the same bytes every time", async () => {
    const [first, second] = await Promise.all([bundleAgent(), bundleAgent()]);
    expect(first.sha256).toBe(second.sha256);
    expect(first.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it("is small, needs nothing beside it, and knows nothing of where it was made", async () => {
    const { code } = await bundleAgent();
    const text = new TextDecoder().decode(code);
    expect(code.length).toBeLessThan(BYTES_MAX);
    expect(text).not.toMatch(/^import /m);
    expect(text).not.toContain(import.meta.dirname);
  });
});
