import { describe, expect, it } from "vitest";
import { retryAfterMs } from "./retry-after.ts";

const now = Date.UTC(2026, 0, 31, 12, 0, 0);

describe("Retry-After", () => {
  it.each<[string, number]>([
    ["0", 0],
    ["7", 7_000],
    ["999999999", 999_999_999_000],
    ["Sat, 31 Jan 2026 12:00:10 GMT", 10_000],
    ["Wed, 21 Oct 2015 07:28:00 GMT", 0],
  ])("%j asks to wait for %i ms", (value, ms) => {
    expect(retryAfterMs(value, now)).toBe(ms);
  });

  it.each([
    null,
    undefined,
    "",
    "soon",
    "-1",
    "1.5",
    "1e3",
    "0x10",
    " 7",
    "1234567890",
    "2026-02-01",
    "Sat, soon",
    "1, 2",
  ])("%j asks for nothing", (value) => {
    expect(retryAfterMs(value, now)).toBeNull();
  });
});
