import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { Secret } from "./secret.ts";

describe("Secret", () => {
  const secret = new Secret("hunter2");

  it("gives its value to whoever asks for it by name", () => {
    expect(secret.reveal()).toBe("hunter2");
  });

  it.each([
    ["a template", `a ${String(secret)}`],
    ["JSON", JSON.stringify({ secret })],
    ["inspect", inspect({ secret })],
    ["inspect of everything", inspect({ secret }, { showHidden: true, customInspect: false, getters: true })],
    ["its keys", Object.entries(secret).join()],
  ])("is not shown by %s", (_, text) => {
    expect(text).not.toContain("hunter2");
  });

  it("says that it is one", () => {
    expect([String(secret), JSON.stringify(secret), inspect(secret)]).toEqual(["[secret]", '"[secret]"', "[secret]"]);
  });
});
