import type { RunId } from "@mayfly/core";
import { describe, expect, it } from "vitest";
import { attemptOf, keyNameOf } from "./key-name.ts";

const run = "run_0123456789abcdefghjk" as RunId;

describe("the name of a key", () => {
  it("leads back to its attempt", () => {
    expect(attemptOf(keyNameOf(run, 2))).toEqual({ run, epoch: 2 });
  });

  it.each([
    "mayfly",
    "mayfly-run_1-1",
    `mayfly-${run}`,
    `mayfly-${run}-`,
    `mayfly-${run}-01`,
    `mayfly-${run}-1-copy`,
    `my mayfly-${run}-1`,
    `mayfly-${run}-1\n`,
  ])("is not ours when it is %j", (name) => {
    expect(attemptOf(name)).toBeNull();
  });
});
