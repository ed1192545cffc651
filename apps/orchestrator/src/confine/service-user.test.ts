import { describe, expect, it } from "vitest";

import { parseSubordinateRange } from "./service-user.ts";

const ana = { name: "ana", id: 1000 };

describe("parseSubordinateRange", () => {
  it("finds the user's range by name and by uid, and takes the largest", () => {
    expect(parseSubordinateRange("bob:1:9\nana:100000:65536\n", ana)).toEqual({ first: 100000, count: 65536 });
    expect(parseSubordinateRange("1000:200000:10\nana:300000:20\n", ana)).toEqual({ first: 300000, count: 20 });
  });

  it("finds nothing for a user who is not named", () => {
    expect(parseSubordinateRange("anais:100000:65536\n10001:5:5\n\n# ana\n", ana)).toBeNull();
  });

  it.each([
    "ana:100000",
    "ana:x:5",
    "ana:1:2:3",
    "ana:0:5",
    "ana:5:0",
    "ana:-5:9",
    "ana:4294967290:100",
    "ana: 5:5",
    "ana:1e5:5",
  ])("refuses the user's line when it is malformed: %s", (line) => {
    expect(() => parseSubordinateRange(line, ana)).toThrow("malformed line");
  });

  it("does not mind malformed lines of others", () => {
    expect(parseSubordinateRange("bob:x\nana:7:5", ana)).toEqual({ first: 7, count: 5 });
  });
});
