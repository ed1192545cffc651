import { describe, expect, it } from "vitest";
import { GRACE_MS, isDue, UNTAGGED_MS } from "./index.mjs";

const now = Date.parse("2026-11-22T12:00:00.000Z");
const since = now - 1;

describe("the sweeper", () => {
  it("leaves what is within its deadline and the grace after it", () => {
    expect(isDue({ deadline: new Date(now + 1).toISOString(), since }, now)).toBe(false);
    expect(isDue({ deadline: new Date(now - GRACE_MS).toISOString(), since }, now)).toBe(false);
  });

  it("ends what has outlived both", () => {
    expect(isDue({ deadline: new Date(now - GRACE_MS - 1).toISOString(), since: null }, now)).toBe(true);
  });

  it.each([null, "", "soon", "2026-11-22", "9999999999999"])("takes %j for no deadline and goes by age", (deadline) => {
    expect(isDue({ deadline, since: now - UNTAGGED_MS }, now)).toBe(false);
    expect(isDue({ deadline, since: now - UNTAGGED_MS - 1 }, now)).toBe(true);
    expect(isDue({ deadline, since: null }, now)).toBe(false);
  });
});
