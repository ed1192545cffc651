import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Receipt, ReceiptSignature, SignedReceipt } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensurePublicKeys, openReceiptKeys, readPublicKeys, type ReceiptKeys } from "./receipt-keys.ts";
import { createSignReceipt, sealReceipt } from "./seal-receipt.ts";
import { verifyReceipt } from "./verify-receipt.ts";

const RUN = "run_00000000000000000000";
let folder: string;
let keys: ReceiptKeys;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mf-receipts-"));
  keys = await openReceiptKeys(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function receipt(more: object = {}): Receipt {
  return { schema: 1, run: RUN, outcome: "succeeded", attempts: 1, ...more } as unknown as Receipt;
}

function seal(more: object = {}): Promise<string> {
  return sealReceipt(receipt(more), async (text) => keys.sign(text));
}

async function verdictOf(text: string) {
  const verdict = verifyReceipt(text, await keys.publicKeys());
  return verdict.ok ? "good" : verdict.code;
}

async function changed(change: (sealed: Record<string, unknown>) => object): Promise<string> {
  return JSON.stringify(change(JSON.parse(await seal()) as Record<string, unknown>));
}

describe("a sealed receipt", () => {
  it("is good, says who signed it, and reads as the receipt it was", async () => {
    const text = await seal();
    const verdict = verifyReceipt(text, await keys.publicKeys());
    expect(verdict).toMatchObject({ ok: true, signature: { keyId: (await keys.publicKeys())[0]?.keyId } });
    const { signature, ...rest } = JSON.parse(text) as SignedReceipt;
    expect(rest).toEqual(receipt());
    expect(signature?.algorithm).toBe("ed25519");
  });

  it("stays good however its JSON is written", async () => {
    const sealed = JSON.parse(await seal({ nested: { b: [1, 2.5, "é"], a: null } })) as Record<string, unknown>;
    const turned = Object.fromEntries(Object.entries(sealed).toReversed());
    expect(await verdictOf(JSON.stringify(sealed))).toBe("good");
    expect(await verdictOf(JSON.stringify(turned, null, "\t").replace("é", "\\u00e9"))).toBe("good");
  });

  it("can be signed though a guest sent half a character", async () => {
    expect(await verdictOf(await seal({ detail: "a\ud800b" }))).toBe("good");
  });

  it.each([
    ["a changed value", "signature_wrong", (one: object) => ({ ...one, outcome: "failed" })],
    ["a value more", "signature_wrong", (one: object) => ({ ...one, more: 1 })],
    ["a value less", "signature_wrong", ({ attempts: _gone, ...one }: Record<string, unknown>) => one],
    ["another's signature", "signature_wrong", (one: object) => withSignature(one, { value: `${"A".repeat(86)}==` })],
    ["a cut signature", "signature_malformed", (one: object) => withSignature(one, { value: "AAAA" })],
    ["a signature that is a word", "signature_malformed", (one: object) => ({ ...one, signature: "good" })],
    ["an unknown key", "key_unknown", (one: object) => withSignature(one, { keyId: `sha256:${"0".repeat(64)}` })],
    ["no signature", "unsigned", ({ signature: _gone, ...one }: Record<string, unknown>) => one],
    ["none on purpose", "unsigned", (one: object) => ({ ...one, signature: null })],
    ["another document", "not_a_receipt", () => ({ hello: 1 })],
    ["a run's view", "not_a_receipt", (one: object) => ({ receipt: one })],
    ["a list", "not_a_receipt", (one: object) => [one]],
    ["null", "not_a_receipt", () => null as unknown as object],
  ])("is refused with %s", async (_name, code, change) => {
    expect(await verdictOf(await changed(change))).toBe(code);
  });

  it("is refused when it is no JSON, or reads differently to different readers", async () => {
    const text = await seal();
    expect(await verdictOf("")).toBe("not_json");
    expect(await verdictOf(text.slice(0, -5))).toBe("not_json");
    expect(await verdictOf(text.replace("{", '{"outcome":"failed",'))).toBe("not_json");
    expect(await verdictOf("[".repeat(100_000))).toBe("not_json");
    expect(await verdictOf(`${text}${" ".repeat(3_000_000)}`)).toBe("not_json");
  });

  it("says of every fault what is wrong and what to do", async () => {
    const verdict = verifyReceipt("{}", []);
    expect(verdict).toEqual({
      ok: false,
      code: "not_a_receipt",
      message: expect.stringContaining("no receipt"),
      fix: expect.stringContaining("mayfly receipt show"),
    });
  });
});

function withSignature(one: object, change: Partial<Record<keyof ReceiptSignature, string>>): object {
  const { signature } = one as { signature: object };
  return { ...one, signature: { ...signature, ...change } };
}

describe("the key of receipts", () => {
  it("is made once, and only its owner may read it", async () => {
    const [first] = await keys.publicKeys();
    expect((await (await openReceiptKeys(folder)).publicKeys())[0]).toEqual(first);
    expect((await stat(join(folder, "receipt-key.pem"))).mode & 0o777).toBe(0o600);
  });

  it("can be changed by taking it away, and what it signed stays good", async () => {
    const old = await seal();
    await rm(join(folder, "receipt-key.pem"));
    keys = await openReceiptKeys(folder);
    const known = await keys.publicKeys();
    expect(known).toHaveLength(2);
    expect(await verdictOf(old)).toBe("good");
    expect(await verdictOf(await seal())).toBe("good");
    expect(verifyReceipt(old, known.slice(0, 1))).toMatchObject({ code: "key_unknown" });
  });

  it("signs receipts and nothing else", () => {
    for (const text of [
      "",
      "text",
      "{}",
      "[]",
      `{"schema":1,"run":"run_1"}`,
      `{"schema":1,"schema":1,"run":"${RUN}"}`,
    ]) {
      expect(() => keys.sign(text)).toThrow("no receipt");
    }
    expect(keys.sign(`{"schema":1,"run":"${RUN}"}`).algorithm).toBe("ed25519");
  });

  it.each([
    ["no key", "text"],
    ["a key of another kind", generateKeyPairSync("x25519").privateKey.export({ type: "pkcs8", format: "pem" })],
  ])("that is %s is said, and not replaced", async (_name, text) => {
    await writeFile(join(folder, "receipt-key.pem"), text);
    await expect(openReceiptKeys(folder)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});

describe("the folder of public keys", () => {
  it("gets each key once, for anybody to read, before a receipt needs it", async () => {
    const open = join(folder, "open");
    const sign = createSignReceipt({
      signer: { signReceipt: async (text) => keys.sign(text), publicKeys: () => keys.publicKeys() },
      folder: open,
    });
    await sealReceipt(receipt(), sign);
    await rm(join(folder, "receipt-key.pem"));
    keys = await openReceiptKeys(folder);
    const text = await sealReceipt(receipt(), sign);
    expect(verifyReceipt(text, await readPublicKeys(open)).ok).toBe(true);
    const names = await readdir(open);
    expect(names).toHaveLength(2);
    expect((await stat(join(open, names[0] ?? ""))).mode & 0o777).toBe(0o644);
    await ensurePublicKeys(open, await keys.publicKeys());
    expect(await readdir(open)).toEqual(names);
  });

  it("lends no key a name that is not its own", async () => {
    const text = await seal();
    const [own] = await keys.publicKeys();
    const open = join(folder, "open");
    await ensurePublicKeys(open, []);
    const { publicKey } = generateKeyPairSync("ed25519");
    const name = `${own?.keyId.slice("sha256:".length)}.pem`;
    await writeFile(join(open, name), publicKey.export({ type: "spki", format: "pem" }));
    await writeFile(
      join(open, "private.pem"),
      generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }),
    );
    await writeFile(join(open, "rubbish.pem"), "x".repeat(5_000));
    expect(await readPublicKeys(open)).toHaveLength(1);
    expect(verifyReceipt(text, await readPublicKeys(open))).toMatchObject({ code: "key_unknown" });
  });
});
