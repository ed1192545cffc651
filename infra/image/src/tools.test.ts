import { describe, expect, it } from "vitest";

import { isAppError } from "@mayfly/core";

import { checkTools, findMissingTools, requiredTools } from "./tools.ts";

describe("the tools a build needs", () => {
  it("are all installed here for root", async () => {
    expect(await findMissingTools({ isRoot: true })).toEqual([]);
  });

  it("name a Debian package each", () => {
    for (const { debianPackage } of requiredTools) {
      expect(debianPackage).toMatch(/^[a-z0-9-]+$/);
    }
  });

  it("include subordinate ids for a plain user, and the answer says how to grant them", async () => {
    const checked = checkTools({ uid: 4_000_000_001, userName: "nobody-of-that-name" });
    await expect(checked).rejects.toSatisfy((error) => isAppError(error, "TOOLS_MISSING"));
    await expect(checked).rejects.toThrow(
      "--add-subuids 100000-165535 --add-subgids 100000-165535 nobody-of-that-name",
    );
  });
});
