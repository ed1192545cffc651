import { describe, expect, it } from "vitest";
import { readTags, tagKeys, tagsOf } from "./tags.ts";
import { launchId, spec } from "./testing.fixture.ts";

const deadline = Date.parse("2026-11-22T20:00:00.500Z");

describe("tags", () => {
  it("say whose it is, what it came from, what it is made of and when it ends", () => {
    expect(tagsOf({ fleet: "blue", launch: launchId, deadline, spec })).toEqual([
      { Key: "mayfly:fleet", Value: "blue" },
      { Key: "mayfly:pool", Value: "555555555555" },
      { Key: "mayfly:launch", Value: launchId },
      { Key: "mayfly:deadline", Value: "2026-11-22T20:00:00.500Z" },
      { Key: "mayfly:spec", Value: spec },
    ]);
  });

  it("are read back as they were written", () => {
    expect(readTags(tagsOf({ fleet: "blue", launch: launchId, deadline, spec }))).toEqual({
      launch: launchId,
      deadline,
      spec,
    });
  });

  it.each([undefined, [], [{ Key: "Name", Value: "x" }]])("say nothing where there are none: %j", (tags) => {
    expect(readTags(tags)).toEqual({ launch: null, deadline: null, spec: null });
  });

  it.each([
    [tagKeys.launch, "lch_1"],
    [tagKeys.launch, "mch_01kb9zq3r8a1b2c3d4e5"],
    [tagKeys.deadline, "tomorrow"],
    [tagKeys.deadline, "1800000000000"],
    [tagKeys.deadline, "2026-13-45T20:00:00.500Z"],
    [tagKeys.spec, "sha256:5"],
  ])("are not believed when somebody wrote %s as %j", (Key, Value) => {
    expect(readTags([{ Key, Value }])).toEqual({ launch: null, deadline: null, spec: null });
  });
});
