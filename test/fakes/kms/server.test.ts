import { createHash, createPublicKey, verify } from "node:crypto";
import { GetPublicKeyCommand, KMSClient, SignCommand, type SignCommandInput } from "@aws-sdk/client-kms";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type KmsFake, startKmsFake } from "./server.ts";

let fake: KmsFake;
let kms: KMSClient;

function clientOf(secretAccessKey = fake.credentials.secretAccessKey, region = fake.region): KMSClient {
  return new KMSClient({
    region,
    endpoint: fake.url,
    credentials: { ...fake.credentials, secretAccessKey },
    maxAttempts: 1,
  });
}

beforeEach(async () => {
  fake = await startKmsFake();
  kms = clientOf();
});

afterEach(async () => {
  kms.destroy();
  await fake.close();
});

function call(KeyId: string, more: Partial<SignCommandInput> = {}): SignCommand {
  const Message = createHash("sha256").update("text").digest();
  return new SignCommand({
    KeyId,
    Message,
    MessageType: "DIGEST",
    SigningAlgorithm: "RSASSA_PKCS1_V1_5_SHA_256",
    ...more,
  });
}

describe("the stand-in for KMS", () => {
  it("signs a digest and a message alike, as the public half confirms", async () => {
    const arn = fake.addKey();
    const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId: arn }));
    const key = createPublicKey({ key: Buffer.from(PublicKey ?? []), format: "der", type: "spki" });
    const { Signature: ofDigest } = await kms.send(call(arn));
    const { Signature: ofMessage } = await kms.send(call(arn, { Message: Buffer.from("text"), MessageType: "RAW" }));
    expect(ofDigest).toEqual(ofMessage);
    expect(verify("sha256", Buffer.from("text"), key, ofDigest ?? Buffer.alloc(0))).toBe(true);
  });

  it.each<[string, Partial<SignCommandInput>]>([
    ["ValidationException", { Message: Buffer.alloc(31) }],
    ["ValidationException", { Message: Buffer.alloc(4_097), MessageType: "RAW" }],
    ["ValidationException", { SigningAlgorithm: "RS256" as never }],
    ["ValidationException", { Message: undefined }],
    ["InvalidKeyUsageException", { SigningAlgorithm: "ECDSA_SHA_256" }],
  ])("refuses with %s what the service refuses: %j", async (name, more) => {
    await expect(kms.send(call(fake.addKey(), more))).rejects.toMatchObject({ name });
  });

  it("refuses a key of another use, account or region, and one that is not there", async () => {
    const encrypts = fake.addKey({ usage: "ENCRYPT_DECRYPT" });
    await expect(kms.send(call(encrypts))).rejects.toMatchObject({ name: "InvalidKeyUsageException" });
    const theirs = fake.addKey({ account: "999999999999" });
    await expect(kms.send(call(theirs))).rejects.toMatchObject({ name: "AccessDeniedException" });
    const arn = fake.addKey();
    for (const wrong of [arn.replace(fake.region, "us-east-1"), `${arn.slice(0, -1)}x`]) {
      await expect(kms.send(call(wrong))).rejects.toMatchObject({ name: "NotFoundException" });
    }
  });

  it.each([
    ["Disabled", "DisabledException"],
    ["PendingImport", "KMSInvalidStateException"],
    ["PendingDeletion", "KMSInvalidStateException"],
  ] as const)("lets nobody use a key that is %s", async (state, name) => {
    const arn = fake.addKey();
    fake.setState(arn, state);
    await expect(kms.send(call(arn))).rejects.toMatchObject({ name });
    await expect(kms.send(new GetPublicKeyCommand({ KeyId: arn }))).rejects.toMatchObject({ name });
  });

  it("takes no call that is signed by another, or for another region", async () => {
    const arn = fake.addKey();
    for (const stranger of [clientOf("another secret"), clientOf(undefined, "us-east-1")]) {
      await expect(stranger.send(call(arn))).rejects.toMatchObject({ name: "InvalidSignatureException" });
      stranger.destroy();
    }
  });

  it("throttles the same calls for the same seed", async () => {
    const arn = fake.addKey();
    fake.throttle(0.5);
    const taken: boolean[] = [];
    for (let calls = 0; calls < 12; calls++) {
      taken.push(
        await kms.send(call(arn)).then(
          () => true,
          () => false,
        ),
      );
    }
    expect(new Set(taken).size).toBe(2);
    const again = await startKmsFake();
    const other = new KMSClient({
      region: again.region,
      endpoint: again.url,
      credentials: again.credentials,
      maxAttempts: 1,
    });
    again.throttle(0.5);
    const key = again.addKey();
    for (const was of taken) {
      expect(
        await other.send(call(key)).then(
          () => true,
          () => false,
        ),
      ).toBe(was);
    }
    other.destroy();
    await again.close();
  });
});
