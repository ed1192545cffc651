import { createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { makeCertificate } from "./certificate.ts";
import { spkiOf } from "./machine-key.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const from = Date.UTC(2026, 0, 31, 12, 0, 0, 999);

function make(until = Date.UTC(2026, 0, 31, 13)): X509Certificate {
  const key = spkiOf(publicKey);
  const options = { key, subject: "mch_1", issuer: "Mayfly machines", from, until, signedWith: privateKey };
  return new X509Certificate(makeCertificate(options));
}

describe("a certificate", () => {
  it("is read by others as it was written", () => {
    const read = make();
    expect(read.subject).toBe("CN=mch_1");
    expect(read.issuer).toBe("CN=Mayfly machines");
    expect(read.validFromDate).toEqual(new Date("2026-01-31T12:00:00Z"));
    expect(read.validToDate).toEqual(new Date("2026-01-31T13:00:00Z"));
    expect(read.publicKey.equals(publicKey)).toBe(true);
    expect(read.verify(createPublicKey(privateKey))).toBe(true);
    expect(read.ca).toBe(false);
  });

  it("has lengths in the fewest bytes, as other readers demand", () => {
    // A sequence of more than 255 bytes, and in it, first, one of less.
    expect(make().raw.subarray(0, 6).toString("hex")).toMatch(/^3082....3081$/);
  });

  it("holds for dates that two digits cannot say", () => {
    expect(make(Date.UTC(2050, 0, 1)).validToDate).toEqual(new Date("2050-01-01T00:00:00Z"));
    expect(make(Date.UTC(2049, 11, 31)).validToDate).toEqual(new Date("2049-12-31T00:00:00Z"));
  });

  it("has a number of its own, in the shortest form", () => {
    const numbers = Array.from({ length: 64 }, () => make().serialNumber);
    expect(new Set(numbers).size).toBe(64);
    expect(numbers.every((number) => /^[4-9A-F][0-9A-F]{31}$/.test(number))).toBe(true);
  });
});
