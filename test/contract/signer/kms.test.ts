import { generateKeyPairSync } from "node:crypto";
import type { KMSClient } from "@aws-sdk/client-kms";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAppJwt, deriveLedgerKey } from "../../../apps/orchestrator/src/signer/app-key.ts";
import { createKmsClient, openKmsAppKey } from "../../../apps/orchestrator/src/signer/kms-app-key.ts";
import { type KmsFake, startKmsFake } from "../../fakes/kms/server.ts";

/** Tries of one call, as KMS sees them. */
const CALLS_MAX = 5;

let fake: KmsFake;
let kms: KMSClient;
let pauses: number[];

beforeEach(async () => {
  fake = await startKmsFake();
  const { region, url: endpoint, credentials } = fake;
  kms = createKmsClient({ region, endpoint, credentials });
  pauses = [];
});

afterEach(async () => {
  kms.destroy();
  await fake.close();
});

function open(arn: string) {
  return openKmsAppKey({ kms, arn, pause: async (ms) => pauses.push(ms) });
}

describe("a key in KMS", () => {
  it("signs what a JWT says and nothing but its digest goes over the wire", async () => {
    const key = await open(fake.addKey());
    const jwt = await createAppJwt({ key, appId: 7, now: 1_750_000_000_000 });
    expect(jwt.split(".")).toHaveLength(3);
    expect(fake.calls).toEqual([
      { action: "GetPublicKey", code: null },
      { action: "Sign", code: null },
    ]);
  });

  it("signs what is longer than a message of KMS's", async () => {
    const key = await open(fake.addKey());
    expect(await key.sign(Buffer.alloc(100_000))).toHaveLength(256);
  });

  it("gives the ledger the same key at every start, and another App's another", async () => {
    const arn = fake.addKey();
    const first = await deriveLedgerKey(await open(arn));
    expect(await deriveLedgerKey(await open(arn))).toEqual(first);
    expect(await deriveLedgerKey(await open(fake.addKey()))).not.toEqual(first);
  });

  it.each([
    ["encrypts", { usage: "ENCRYPT_DECRYPT" }],
    ["is of a curve", { kind: "ec" }],
    ["is symmetric", { kind: "symmetric" }],
  ] as const)("is refused as a setting when it %s, at the first try", async (_what, key) => {
    await expect(open(fake.addKey(key))).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("github.kms_key") as unknown,
    });
    expect(fake.calls).toHaveLength(1);
  });

  it("is refused when it is short", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    await expect(open(fake.addKey({ pem }))).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  it.each([
    ["Disabled", "disabled"],
    ["PendingImport", "nothing was imported"],
    ["PendingDeletion", "waits to be deleted"],
  ] as const)("is waited for while it is %s, since a person can mend that", async (state, said) => {
    const arn = fake.addKey();
    fake.setState(arn, state);
    await expect(open(arn)).rejects.toMatchObject({
      code: "APP_KEY_UNAVAILABLE",
      message: expect.stringContaining(said) as unknown,
    });
    fake.setState(arn, "Enabled");
    const key = await open(arn);
    fake.setState(arn, state);
    await expect(key.sign(Buffer.from("text"))).rejects.toMatchObject({ code: "APP_KEY_UNAVAILABLE" });
    expect(pauses).toEqual([]);
  });

  it("is not used without the rights, or in another account", async () => {
    const refused = {
      code: "APP_KEY_UNAVAILABLE",
      message: expect.stringContaining("kms:Sign and kms:GetPublicKey") as unknown,
    };
    await expect(open(fake.addKey({ account: "999999999999" }))).rejects.toMatchObject(refused);
    fake.allow("GetPublicKey");
    const key = await open(fake.addKey());
    await expect(key.sign(Buffer.from("text"))).rejects.toMatchObject(refused);
  });

  it("is asked again after a throttle, a fault and a broken line, each time later", async () => {
    const key = await open(fake.addKey());
    fake.failNext("ThrottlingException", "KMSInternalException", "lost");
    expect(await key.sign(Buffer.from("text"))).toHaveLength(256);
    expect(pauses).toEqual([250, 500, 1_000]);
  });

  it("is given up after so many tries, and works once KMS does", async () => {
    const key = await open(fake.addKey());
    fake.throttle(1);
    await expect(key.sign(Buffer.from("text"))).rejects.toMatchObject({ code: "APP_KEY_UNAVAILABLE" });
    expect(fake.calls.filter(({ code }) => code === "ThrottlingException")).toHaveLength(CALLS_MAX);
    fake.throttle(0);
    expect(await key.sign(Buffer.from("text"))).toHaveLength(256);
  });

  it.each([1, 2, 3])("signs through throttles by chance (seed %i)", async (seed) => {
    const other = await startKmsFake({ seed });
    const { region, url: endpoint, credentials } = other;
    const client = createKmsClient({ region, endpoint, credentials });
    const key = await openKmsAppKey({ kms: client, arn: other.addKey(), pause: async () => undefined });
    other.throttle(0.2);
    const texts = Array.from({ length: 20 }, (_none, index) => Buffer.from(`text ${index}`));
    const signatures = await Promise.all(texts.map((text) => key.sign(text)));
    expect(new Set(signatures.map((one) => Buffer.from(one).toString("hex"))).size).toBe(texts.length);
    client.destroy();
    await other.close();
  });

  it("takes no signature that is not its own", async () => {
    const arn = fake.addKey();
    const key = await open(arn);
    const other = fake.addKey();
    kms.middlewareStack.add(
      (next, { commandName }) =>
        async (args) =>
          next(commandName === "SignCommand" ? { ...args, input: { ...args.input, KeyId: other } } : args),
      { step: "initialize" },
    );
    await expect(key.sign(Buffer.from("text"))).rejects.toMatchObject({
      message: expect.stringContaining("not the App's key's") as unknown,
    });
  });
});
