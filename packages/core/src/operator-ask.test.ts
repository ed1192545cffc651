import { describe, expect, it } from "vitest";
import { isDeliveryId } from "./ids.ts";
import { limits } from "./limits.ts";
import {
  isOperatorDelivery,
  isOperatorKey,
  OperatorAsk,
  operatorDeliveryId,
  parsePullAddress,
} from "./operator-ask.ts";

describe("the address of a pull request", () => {
  it.each([
    ["https://github.com/acme/app/pull/7", "github.com"],
    ["https://GitHub.com/acme/app/pull/7/files?w=1#diff", "github.com"],
    ["http://127.0.0.1:8080/acme/app/pull/7", "127.0.0.1"],
    ["acme/app#7", null],
  ])("%s is read", (text, host) => {
    expect(parsePullAddress(text)).toEqual({ host, owner: "acme", name: "app", number: 7 });
  });

  it.each([
    "",
    "acme/app",
    "#7",
    "acme/app#0",
    "acme/app#07x",
    "acme/../app#7",
    "https://github.com/acme/app/issues/7",
    "https://user@github.com/acme/app/pull/7",
    "ssh://github.com/acme/app/pull/7",
    "https://github.com/acme/app/pull/7777777777",
    ` acme/app#7${" ".repeat(3_000)}`,
  ])("%j is none", (text) => {
    expect(parsePullAddress(text)).toBeNull();
  });
});

describe("an operator's wish", () => {
  it("is kept as a delivery whose id says so", () => {
    const id = operatorDeliveryId("a".repeat(64));
    expect(isDeliveryId(id)).toBe(true);
    expect(isOperatorDelivery(id)).toBe(true);
    expect(isOperatorDelivery("8f1c2a30-0000-11f1-8d75-2c75127d9e03")).toBe(false);
  });

  it("has a key of visible ASCII, up to its bound", () => {
    expect(["job-1", "x".repeat(limits.operatorKeyCharsMax)].every(isOperatorKey)).toBe(true);
    expect(["", "a b", "\u00e9", "x".repeat(limits.operatorKeyCharsMax + 1)].some(isOperatorKey)).toBe(false);
  });

  it("has instructions up to the bound of those in comments, and nothing else beside it", () => {
    const ask = {
      kind: "start",
      pull: parsePullAddress("acme/app#7"),
      task: "review",
      instructions: "x".repeat(2_000),
    };
    expect(OperatorAsk.safeParse(ask).success).toBe(true);
    expect(OperatorAsk.safeParse({ ...ask, instructions: "x".repeat(2_001) }).success).toBe(false);
    expect(OperatorAsk.safeParse({ ...ask, actor: "alice" }).success).toBe(false);
  });
});
