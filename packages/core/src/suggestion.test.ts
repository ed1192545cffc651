import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { didYouMean, nearest } from "./suggestion.ts";

const names = ["model", "effort", "sandbox", "safety-strategy", "allow-users"];

describe("nearest", () => {
  it.each([
    ["modle", "model"],
    ["sandbx", "sandbox"],
    ["Safety_Strategy", "safety-strategy"],
    ["alow-user", "allow-users"],
    ["banana", null],
    ["", null],
    ["x".repeat(65), null],
  ])("answers %j with %j", (name, expected) => {
    expect(nearest(name, names)).toBe(expected);
  });

  it("takes the first of two equally near names", () => {
    expect(nearest("ab", ["ac", "ad"])).toBe("ac");
  });

  it("finds every name of the list again", () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), (name) => {
        expect(nearest(name, names)).toBe(name);
      }),
    );
  });

  it("never throws, whatever is asked", () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string()), (name, list) => {
        expect([null, ...list]).toContain(nearest(name, list));
      }),
    );
  });
});

describe("didYouMean", () => {
  it("is silent when nothing is near", () => {
    expect(didYouMean("banana", names)).toBe("");
    expect(didYouMean("modle", names)).toBe(' (did you mean "model"?)');
  });
});
