import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { closeSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Config, parseConfig, Secret } from "@mayfly/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { signerPart } from "./signer-part.ts";

const arn = "arn:aws:kms:eu-central-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef";
const aws = { accessKeyId: "AKIAEXAMPLE", secretAccessKey: new Secret("hidden"), sessionToken: null };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mf-signer-part-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function partOf(key: Record<string, string>) {
  const environment = { MAYFLY_GITHUB_APP_ID: "3", MAYFLY_WEBHOOK_SECRET: "s".repeat(16), HOME: folder, ...key };
  const read = parseConfig({ environment });
  if (!read.ok || read.config.github.app === null) {
    throw new Error("the settings of the test are wrong");
  }
  const config: Config = read.config;
  return signerPart(config, read.config.github.app, aws);
}

describe("the signer's part", () => {
  it("inherits the key's file, opened anew for each start, and is told no credential of AWS", async () => {
    const file = join(folder, "app.pem");
    await writeFile(file, "a key");
    const { settings, openFile } = partOf({ MAYFLY_GITHUB_PRIVATE_KEY_FILE: file });
    expect(settings).toMatchObject({ appId: 3, key: { kind: "file" } });
    expect(JSON.stringify(settings)).not.toContain("AKIAEXAMPLE");
    for (const descriptor of [openFile?.() ?? -1, openFile?.() ?? -1]) {
      expect(readFileSync(descriptor, "utf8")).toBe("a key");
      closeSync(descriptor);
    }
  });

  it("is refused at once with a file that is not there", () => {
    expect(() => partOf({ MAYFLY_GITHUB_PRIVATE_KEY_FILE: join(folder, "none.pem") })).toThrow("cannot be read");
  });

  it("inherits no file where the key is in KMS, and is told how to ask", () => {
    const { settings, openFile } = partOf({ MAYFLY_GITHUB_KMS_KEY: arn });
    expect(settings.key).toEqual({ kind: "kms", arn, region: "eu-central-1", endpoint: null, aws });
    expect(openFile).toBeUndefined();
  });
});
