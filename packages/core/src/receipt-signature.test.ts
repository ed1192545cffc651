import { describe, expect, it } from "vitest";
import { receiptSignatureSchema, receiptSigningText } from "./receipt-signature.ts";

const PREFIX = "DSSEv1 35 application/vnd.mayfly.receipt+json ";

describe("what is signed of a receipt", () => {
  it("says what it is and how long it is, in bytes", () => {
    expect(receiptSigningText({ b: "é", a: 1 })).toBe(`${PREFIX}16 {"a":1,"b":"é"}`);
  });

  it("leaves the signature out, and nothing else", () => {
    const signed = receiptSigningText({ a: { signature: "inner" }, signature: "outer" });
    expect(signed).toBe(`${PREFIX}29 {"a":{"signature":"inner"}}`.replace("29", "27"));
  });

  // The example of RFC 8785, 3.2.2 and 3.2.3.
  it("has the canonical form of RFC 8785", () => {
    const value: unknown = JSON.parse(String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`);
    expect(receiptSigningText(value as Record<string, unknown>)).toContain(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  it("sorts names by UTF-16 code units, as RFC 8785 has it", () => {
    const names = ["\u20ac", "\r", "\ufb33", "1", "\ud83d\ude00", "\u0080", "\u00f6"];
    const text = receiptSigningText(Object.fromEntries(names.map((name, i) => [name, i])));
    const sorted = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\ud83d\ude00", "\ufb33"];
    const at = sorted.map((name) => text.indexOf(JSON.stringify(name)));
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    expect(at).not.toContain(-1);
  });
});

describe("a signature", () => {
  const good = { algorithm: "ed25519", keyId: `sha256:${"0".repeat(64)}`, value: `${"A".repeat(86)}==` };

  it.each([
    { ...good, algorithm: "none" },
    { ...good, keyId: "sha256:0" },
    { ...good, value: "AA==" },
    { ...good, more: 1 },
    "text",
  ])("is refused in any other form: %j", (one) => {
    expect(receiptSignatureSchema.safeParse(good).success).toBe(true);
    expect(receiptSignatureSchema.safeParse(one).success).toBe(false);
  });
});
