import { describe, expect, it } from "vitest";
import { parseSettings } from "./settings.ts";

describe("parseSettings", () => {
  it("finds the broker among the kernel's own parameters", () => {
    const line = "console=ttyS0 quiet mayfly.broker=10.0.2.2:8080 panic=-1 mayfly.lifetime_s=60\n";
    expect(parseSettings(line)).toEqual({ brokers: [{ host: "10.0.2.2", port: 8080 }], pins: null });
  });

  it("finds a second address of the broker", () => {
    const line = `mayfly.broker=10.0.1.10:8443,10.0.2.10:8443 mayfly.pins=${"a".repeat(43)}`;
    expect(parseSettings(line).brokers).toEqual([
      { host: "10.0.1.10", port: 8443 },
      { host: "10.0.2.10", port: 8443 },
    ]);
  });

  it.each([
    ["no broker", "console=ttyS0"],
    ["two brokers", "mayfly.broker=10.0.2.2:8080 mayfly.broker=10.0.2.3:8080"],
    ["two addresses without a pin", "mayfly.broker=10.0.2.2:8080,10.0.2.3:8080"],
    ["an address twice", `mayfly.broker=10.0.2.2:8080,10.0.2.2:8080 mayfly.pins=${"a".repeat(43)}`],
    ["three addresses", `mayfly.broker=10.0.2.2:1,10.0.2.3:1,10.0.2.4:1 mayfly.pins=${"a".repeat(43)}`],
    ["a comma at the end of the addresses", `mayfly.broker=10.0.2.2:8080, mayfly.pins=${"a".repeat(43)}`],
    ["an octet that others read as octal", "mayfly.broker=10.0.2.010:8080"],
    ["a name", "mayfly.broker=broker.example.com:8080"],
    ["an impossible address", "mayfly.broker=10.0.2.256:8080"],
    ["an impossible port", "mayfly.broker=10.0.2.2:65536"],
    ["port 0", "mayfly.broker=10.0.2.2:0"],
    ["something after the port", "mayfly.broker=10.0.2.2:8080/x"],
  ])("refuses %s", (_what, line) => {
    expect(() => parseSettings(line)).toThrow("mayfly.broker");
  });

  const pin = (digit: string) => digit.repeat(43);

  it.each([
    ["one pin", pin("a"), [pin("a")]],
    ["this pin and the next", `${pin("a")},${pin("_")}`, [pin("a"), pin("_")]],
  ])("finds %s", (_what, text, pins) => {
    expect(parseSettings(`mayfly.broker=10.0.2.2:8443 mayfly.pins=${text}\n`).pins).toEqual(pins);
  });

  it.each([
    ["no pin", "mayfly.pins="],
    ["a short pin", `mayfly.pins=${"a".repeat(42)}`],
    ["a pin with a character too many in it", `mayfly.pins=${"a".repeat(42)}=`],
    ["three pins", `mayfly.pins=${[pin("a"), pin("b"), pin("c")].join(",")}`],
    ["a comma at the end", `mayfly.pins=${pin("a")},`],
    ["two lists", `mayfly.pins=${pin("a")} mayfly.pins=${pin("a")}`],
    ["a slip in the name, which must not lead to a link without a check", `mayfly.pin=${pin("a")}`],
  ])("refuses %s", (_what, text) => {
    expect(() => parseSettings(`mayfly.broker=10.0.2.2:8443 ${text}`)).toThrow("mayfly.pins");
  });
});
