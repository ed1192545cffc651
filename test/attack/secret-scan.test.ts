import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createScanner } from "./secret-scan.ts";

const value = `sk-test-${randomBytes(24).toString("base64url")}`;
const scanner = createScanner([{ name: "key", value }]);

function forms(): [string, Buffer][] {
  const bytes = Buffer.from(value);
  const percent = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
  const rot13 = value.replaceAll(/[a-z]/gi, (letter) => {
    const rotated = letter.charCodeAt(0) + 13;
    return String.fromCharCode(rotated > (letter <= "Z" ? 90 : 122) ? rotated - 26 : rotated);
  });
  const base64 = (before: string) => Buffer.from(`${before}${value} and more`);
  return [
    ["as it is", bytes],
    ["without its prefix", bytes.subarray(7)],
    ["with a word before it", Buffer.from(`Bearer ${value}`)],
    ["hexadecimal", Buffer.from(bytes.toString("hex"))],
    ["HEXADECIMAL", Buffer.from(bytes.toString("hex").toUpperCase())],
    ["UTF-16, little end first", Buffer.from(value, "utf16le")],
    ["UTF-16, big end first", Buffer.from(value, "utf16le").swap16()],
    ["reversed", Buffer.from(value).reverse()],
    ["rotated", Buffer.from(rot13)],
    ["percent-encoded", Buffer.from(percent)],
    ["PERCENT-ENCODED", Buffer.from(percent.toUpperCase())],
    ["a URL's part", Buffer.from(encodeURIComponent(`token=${value}`))],
    ...["", "x", "xy", "xyz", "xyza"].flatMap((before): [string, Buffer][] => [
      [`base64 after ${before.length} bytes`, Buffer.from(base64(before).toString("base64"))],
      [`base64url after ${before.length} bytes`, Buffer.from(base64(before).toString("base64url"))],
    ]),
    ["base64 without its prefix", Buffer.from(bytes.subarray(7).toString("base64"))],
  ];
}

describe("the scan for secrets", () => {
  it.each(forms())("finds one that is %s", async (_form, bytes) => {
    expect(await scanner.scan([randomBytes(1_000), bytes, randomBytes(1_000)])).not.toEqual([]);
  });

  it("finds one wherever the stream is cut", async () => {
    const text = Buffer.concat([randomBytes(50), Buffer.from(value), randomBytes(50)]);
    for (let cut = 0; cut <= text.length; cut++) {
      const found = await scanner.scan([text.subarray(0, cut), text.subarray(cut)]);
      expect([cut, found]).toEqual([cut, [{ name: "key", form: "raw", count: 2 }]]);
    }
    const byByte = await scanner.scan([...text].map((byte) => Buffer.of(byte)));
    expect(byByte).toEqual([{ name: "key", form: "raw", count: 2 }]);
  });

  it("finds half of a long one", async () => {
    const long = randomBytes(400).toString("base64");
    const found = await createScanner([{ name: "long", value: long }]).scan([Buffer.from(long.slice(200))]);
    expect(found).toEqual([{ name: "long", form: "raw", count: expect.any(Number) as number }]);
  });

  it("finds nothing where there is nothing", async () => {
    const near = Buffer.from(`${value.slice(0, 20)} ${value.slice(-20)} sk-test-${"0".repeat(48)}`);
    expect(await scanner.scan([near, randomBytes(100_000), Buffer.alloc(100_000)])).toEqual([]);
  });

  it("refuses a secret that is too short to look for", () => {
    expect(() => createScanner([{ name: "short", value: "hunter2" }])).toThrow("too short");
  });
});
