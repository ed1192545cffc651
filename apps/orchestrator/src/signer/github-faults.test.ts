import { AppError } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { askedPauseMs, namingFaults } from "./github-faults.ts";

const NOW = 1_800_000_000_000;

async function pauseAfter(status: number, headers: Record<string, string>): Promise<number | null> {
  const refusal = Object.assign(new Error("no"), { status, response: { headers } });
  const fault: unknown = await namingFaults(() => Promise.reject(refusal)).catch((error: unknown) => error);
  return askedPauseMs(fault, NOW);
}

describe("how long GitHub asks to be left alone", () => {
  it("is what retry-after says, in seconds", async () => {
    expect(await pauseAfter(403, { "retry-after": "60", "x-ratelimit-remaining": "0" })).toBe(60_000);
    expect(await pauseAfter(429, { "retry-after": "7" })).toBe(7_000);
  });

  it("is the rest of the hour when its requests are used up", async () => {
    const reset = String(NOW / 1000 + 600);
    expect(await pauseAfter(403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset })).toBe(600_000);
    expect(await pauseAfter(403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "5" })).toBe(0);
  });

  it("is nothing when it said nothing, or nonsense, or refused for good", async () => {
    expect(await pauseAfter(502, {})).toBeNull();
    expect(await pauseAfter(429, { "retry-after": "soon" })).toBeNull();
    expect(await pauseAfter(500, { "x-ratelimit-remaining": "9", "x-ratelimit-reset": "5" })).toBeNull();
    expect(await pauseAfter(404, {})).toBeNull();
    expect(askedPauseMs(new AppError("STORE_UNAVAILABLE", "away"), NOW)).toBeNull();
    expect(askedPauseMs(null, NOW)).toBeNull();
  });
});
