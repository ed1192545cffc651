import { describe, expect, it, vi } from "vitest";
import { createSecretSearch, findSecrets } from "./find-secrets.ts";

const secret = "mk-Canary_9f3KqLw7.Zx8Rt2Vb";
const bytes = Buffer.from(secret);

describe("known values are found", () => {
  it.each([
    ["as they are", secret],
    ["in capitals", secret.toUpperCase()],
    ["reversed", Array.from(secret).reverse().join("")],
    ["in hex", bytes.toString("hex")],
    ["in hex with colons", bytes.toString("hex").replaceAll(/(..)(?=.)/g, "$1:")],
    ["in base64", bytes.toString("base64")],
    ["in base64url", bytes.toString("base64url")],
    ["in base64 one byte on", Buffer.from(`x${secret}yz`).toString("base64")],
    ["in base64 two bytes on", Buffer.from(`xx${secret}yz`).toString("base64")],
    ["in base64 over several lines", bytes.toString("base64").replaceAll(/(.{7})/g, "$1\n")],
    ["percent-encoded", [...bytes].map((byte) => `%${byte.toString(16)}`).join("")],
    ["as entities", [...bytes].map((byte) => `&#${byte};`).join("")],
    ["as JSON escapes", [...bytes].map((byte) => `\\u00${byte.toString(16)}`).join("")],
    [
      "in ROT13",
      secret.replaceAll(/[a-z]/gi, (c) => String.fromCharCode(c.charCodeAt(0) + (c.toLowerCase() < "n" ? 13 : -13))),
    ],
    ["split by blanks", Array.from(secret).join(" ")],
    ["split by lines", Array.from(secret).join("\n> ")],
    ["split by invisible characters", Array.from(secret).join("\u200b\u2060")],
    ["split by emphasis", Array.from(secret).join("**")],
  ])("%s", (_, hidden) => {
    const hits = findSecrets(`before ${hidden} after`, [secret]);
    expect(hits).toMatchObject([{ kind: "known value" }]);
    expect(JSON.stringify(hits)).not.toContain(secret);
  });

  it("also when most of one is punctuation", () => {
    const marked = Array.from("q7Rt2Vb9Lm4Kw8Zx").join("--");
    expect(findSecrets(`x ${Array.from(marked).join(" ")} y`, [marked])).toMatchObject([{ kind: "known value" }]);
  });

  it.each([24, 31, 32, 41])("also what is left of %i characters when either end is cut off", (length) => {
    const whole = "mkCanary9f3KqLw7Zx8Rt2VbQ5yHn1Dc6Gs0JpT4eX".slice(0, length);
    const cuts = Array.from({ length: length - 19 }, (_, index) => index + 1);
    const parts = cuts.flatMap((lost) => [whole.slice(lost), whole.slice(0, -lost)]);
    expect(parts.filter((part) => findSecrets(`x ${part} y`, [whole]).length === 0)).toEqual([]);
  });

  it("but not where they are not", () => {
    expect(findSecrets("mk-Canary, 9f3K, and nothing else".repeat(100), [secret, "", "short"])).toEqual([]);
  });
});

describe("a search through several texts", () => {
  const known = [secret, `${secret}-another-one`, "short"];
  const texts = ["harmless", `it is ${bytes.toString("base64")}`, `and ${secret.toUpperCase()}`, "ghs_short"];

  it("finds in each what a search of its own finds", () => {
    expect(texts.map(createSecretSearch(known))).toEqual(texts.map((text) => findSecrets(text, known)));
  });

  it("encodes each value once, however many texts there are", () => {
    const encode = vi.spyOn(Buffer, "from");
    const search = createSecretSearch(known);
    const before = encode.mock.calls.length;
    texts.forEach((text) => search(text));
    expect(before).toBeGreaterThan(0);
    expect(encode.mock.calls.length).toBe(before);
    encode.mockRestore();
  });
});

describe("tokens are found by their look", () => {
  const letters = "Ab1".repeat(20);
  it.each([
    `ghs_${letters}`,
    `ghs_12345_${letters}.${letters}`,
    `ghp_${letters}`,
    `gho_${letters}`,
    `github_pat_${letters}`,
    `sk-${letters}`,
    `sk-proj-${letters}`,
    "AKIAIOSFODNN7EXAMPLE",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----",
    `eyJ${letters}.eyJ${letters}.${letters}`,
    `mfc_${letters}`,
    `mfk_${letters}`,
    `gh\u200bp_${letters}`,
  ])("%s", (token) => {
    expect(findSecrets(`x: ${token}!`, [])).toHaveLength(1);
  });

  it.each([
    "task-orchestration-and-scheduling-9",
    "sk-fading-circle-container-item",
    "ghs_short",
    "-----BEGIN CERTIFICATE-----",
  ])("but not in %s", (text) => {
    expect(findSecrets(text, [])).toEqual([]);
  });
});
