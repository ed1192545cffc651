import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";

const arn = "arn:aws:kms:eu-central-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef";
const app = { MAYFLY_GITHUB_APP_ID: "3", MAYFLY_WEBHOOK_SECRET: "s".repeat(16) };

function keyOf(environment: Record<string, string>) {
  const read = parseConfig({ environment: { ...app, ...environment } });
  return read.ok ? (read.config.github.app?.key ?? null) : read.problems;
}

describe("where the App's key is", () => {
  it("is a file", () => {
    expect(keyOf({ MAYFLY_GITHUB_PRIVATE_KEY_FILE: "/k.pem" })).toEqual({ kind: "file", path: "/k.pem" });
  });

  it("is KMS, in the region that the ARN names", () => {
    const kms = { kind: "kms", arn, region: "eu-central-1", endpoint: null };
    expect(keyOf({ MAYFLY_GITHUB_KMS_KEY: arn })).toEqual(kms);
    const endpoint = "https://kms.example.com";
    expect(keyOf({ MAYFLY_GITHUB_KMS_KEY: arn, MAYFLY_GITHUB_KMS_ENDPOINT: endpoint })).toEqual({ ...kms, endpoint });
  });

  it.each([
    "arn:aws:kms:eu-central-1:111122223333:alias/app",
    "01234567-89ab-cdef-0123-456789abcdef",
    arn.replace("kms", "iam"),
    `${arn}/x`,
    `${arn}\n`,
  ])("is no key by anything but its own ARN: %j", (other) => {
    expect(keyOf({ MAYFLY_GITHUB_KMS_KEY: other })).toMatchObject([
      { place: "MAYFLY_GITHUB_KMS_KEY", message: expect.stringContaining("ARN") as unknown },
    ]);
  });

  it("is not in two places", () => {
    expect(keyOf({ MAYFLY_GITHUB_PRIVATE_KEY_FILE: "/k.pem", MAYFLY_GITHUB_KMS_KEY: arn })).toMatchObject([
      { message: expect.stringMatching(/MAYFLY_GITHUB_PRIVATE_KEY_FILE.*MAYFLY_GITHUB_KMS_KEY/) as unknown },
    ]);
  });

  it("is needed in one of two places, both named", () => {
    expect(keyOf({})).toMatchObject([
      { message: expect.stringMatching(/MAYFLY_GITHUB_PRIVATE_KEY_FILE.* or .*MAYFLY_GITHUB_KMS_KEY/) as unknown },
    ]);
  });

  it.each(["http://kms.example.com", "https://user@kms.example.com", "https://kms.example.com/path"])(
    "is asked for at no address like %s",
    (endpoint) => {
      expect(keyOf({ MAYFLY_GITHUB_KMS_KEY: arn, MAYFLY_GITHUB_KMS_ENDPOINT: endpoint })).toMatchObject([
        { place: "MAYFLY_GITHUB_KMS_ENDPOINT" },
      ]);
    },
  );

  it("needs a key for an address of KMS", () => {
    const file = { MAYFLY_GITHUB_PRIVATE_KEY_FILE: "/k.pem", MAYFLY_GITHUB_KMS_ENDPOINT: "https://kms.example.com" };
    expect(keyOf(file)).toMatchObject([{ place: "MAYFLY_GITHUB_KMS_ENDPOINT" }]);
  });
});
