import { describe, expect, it } from "vitest";
import { parseSettings } from "./settings.ts";

describe("parseSettings", () => {
  it("finds the broker among the kernel's own parameters", () => {
    const line = "console=ttyS0 quiet mayfly.broker=10.0.2.2:8080 panic=-1 mayfly.lifetime_s=60\n";
    expect(parseSettings(line)).toEqual({ broker: { host: "10.0.2.2", port: 8080 } });
  });

  it.each([
    ["no broker", "console=ttyS0"],
    ["two brokers", "mayfly.broker=10.0.2.2:8080 mayfly.broker=10.0.2.3:8080"],
    ["a name", "mayfly.broker=broker.example.com:8080"],
    ["an impossible address", "mayfly.broker=10.0.2.256:8080"],
    ["an impossible port", "mayfly.broker=10.0.2.2:65536"],
    ["port 0", "mayfly.broker=10.0.2.2:0"],
    ["something after the port", "mayfly.broker=10.0.2.2:8080/x"],
  ])("refuses %s", (_what, line) => {
    expect(() => parseSettings(line)).toThrow("mayfly.broker");
  });
});
