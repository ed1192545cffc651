import { generateKeyPairSync, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAppJwt, createPemAppKey, deriveLedgerKey } from "./app-key.ts";

const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = pair.privateKey.export({ type: "pkcs1", format: "pem" }).toString();
const other = generateKeyPairSync("rsa", { modulusLength: 2048 });
const NOW = 1_750_000_000_000;

function partsOf(jwt: string): { input: string; header: unknown; claims: unknown; signature: Buffer } {
  const [header = "", claims = "", signature = ""] = jwt.split(".");
  const parse = (part: string): unknown => JSON.parse(Buffer.from(part, "base64url").toString());
  const input = `${header}.${claims}`;
  return { input, header: parse(header), claims: parse(claims), signature: Buffer.from(signature, "base64url") };
}

describe("the App's key", () => {
  it("proves who we are for less than ten minutes, from a minute ago on", async () => {
    const jwt = partsOf(await createAppJwt({ key: createPemAppKey(pem), appId: 7, now: NOW + 999 }));
    expect(jwt.header).toEqual({ alg: "RS256", typ: "JWT" });
    expect(jwt.claims).toEqual({ iat: NOW / 1000 - 60, exp: NOW / 1000 + 480, iss: "7" });
    expect(verify("sha256", Buffer.from(jwt.input), pair.publicKey, jwt.signature)).toBe(true);
  });

  it("gives the ledger the same key after every start, and no other App's", async () => {
    const key = await deriveLedgerKey(createPemAppKey(pem));
    expect(key).toHaveLength(32);
    expect(await deriveLedgerKey(createPemAppKey(pem))).toEqual(key);
    const otherPem = other.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    expect(await deriveLedgerKey(createPemAppKey(otherPem))).not.toEqual(key);
  });

  it.each([
    ["nothing", ""],
    ["no key", "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----"],
    ["a public key", pair.publicKey.export({ type: "spki", format: "pem" }).toString()],
    ["another kind", generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString()],
    [
      "a short one",
      generateKeyPairSync("rsa", { modulusLength: 1024 })
        .privateKey.export({ type: "pkcs1", format: "pem" })
        .toString(),
    ],
  ])("refuses %s, and repeats none of it", (_name, text) => {
    const refuse = () => createPemAppKey(text);
    expect(refuse).toThrow("no RSA key in PEM");
    expect(refuse).not.toThrow("c2VjcmV0");
  });
});
