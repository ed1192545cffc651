import { describe, expect, it } from "vitest";
import { formatId, isDeliveryId, isDigest, isMachineId, isRunId } from "./ids.ts";

const random = Uint8Array.from({ length: 10 }, (_, i) => i * 25);

describe("ids", () => {
  it("are what their own checks accept, and no other kind", () => {
    const run = formatId("run", 1_700_000_000_000, random);
    const machine = formatId("mch", 1_700_000_000_000, random);
    expect([isRunId(run), isMachineId(run), isRunId(machine), isMachineId(machine)]).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });

  it("sort by age", () => {
    const newest = Uint8Array.from({ length: 10 }, () => 0);
    const oldest = Uint8Array.from({ length: 10 }, () => 255);
    const times = [0, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 9_999_999_999_999];
    const ids = times.map((now, i) => formatId("run", now, i % 2 === 0 ? oldest : newest));
    expect(ids.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(ids);
  });

  it("use every bit they may of their randomness, and none they may not", () => {
    const high = random.map((byte) => byte | 0xe0);
    expect(formatId("run", 0, high)).toBe(
      formatId(
        "run",
        0,
        high.map((byte) => byte & 31),
      ),
    );
    expect(formatId("run", 0, random)).not.toBe(
      formatId(
        "run",
        0,
        random.map((byte) => byte ^ 1),
      ),
    );
  });

  it.each([
    "run_",
    "run_0123456789012345678",
    "run_012345678901234567890",
    "run_0123456789012345678i",
    "RUN_01234567890123456789",
    "run_01234567890123456789\n",
    "../run_01234567890123456789",
  ])("refuse %j", (text) => {
    expect(isRunId(text)).toBe(false);
  });

  it("know a delivery's id and a digest by their form", () => {
    expect(isDeliveryId("72d3162e-cc78-11e3-81ab-4c9367dc0958")).toBe(true);
    expect(["", "a:b", "a".repeat(65), "a\n", "a/b"].some(isDeliveryId)).toBe(false);
    expect(isDigest(`sha256:${"0".repeat(64)}`)).toBe(true);
    expect([`sha256:${"0".repeat(63)}`, `sha256:${"A".repeat(64)}`, "0".repeat(64)].some(isDigest)).toBe(false);
  });
});
