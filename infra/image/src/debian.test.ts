import { describe, expect, it } from "vitest";

import { parseIndex } from "./debian.ts";

const hash = "a".repeat(64);

describe("parseIndex", () => {
  it("reads name, version and hash of every stanza", () => {
    const text = `Package: git\nVersion: 1:2.39.5-0+deb12u3\nSHA256: ${hash}\nDescription: x\n Package: not\n\nPackage: sed\nVersion: 4.9-1\nSHA256: ${hash}\n`;
    expect([...parseIndex(text).keys()]).toEqual(["git=1:2.39.5-0+deb12u3", "sed=4.9-1"]);
  });

  it("passes over what is only installed and has no hash", () => {
    expect(parseIndex("Package: git\nVersion: 1\nStatus: install ok installed\n").size).toBe(0);
  });

  it("refuses a name that is none", () => {
    expect(() => parseIndex(`Package: ../x\nVersion: 1\nSHA256: ${hash}\n`)).toThrow("name");
  });
});
