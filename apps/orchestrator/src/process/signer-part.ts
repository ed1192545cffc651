import { closeSync, openSync } from "node:fs";
import { AppError, type Config, type GitHubAppConfig } from "@mayfly/core";
import type { AwsCredentials } from "./aws-credentials.ts";
import type { SignerSettings } from "./settings.ts";
import type { Part } from "./supervise.ts";

/**
 * The signer and what it is told. The file of a private key is looked at now, so that a mistake is told before anything
 * is built: throws CONFIG_INVALID.
 *
 * @param aws For KMS. Null: the SDK's own search through files and roles.
 */
export function signerPart(
  config: Config,
  { id: appId, key }: GitHubAppConfig,
  aws: AwsCredentials | null,
): Omit<Part, "account"> & { settings: SignerSettings } {
  const { stateDir, logLevel } = config;
  const settings = { stateDir, logLevel, url: config.github.url, appId };
  if (key.kind === "kms") {
    return { name: "signer", settings: { ...settings, key: { ...key, aws } } };
  }
  closeSync(openPrivateKey(key.path));
  return {
    name: "signer",
    settings: { ...settings, key: { kind: "file" } },
    openFile: () => openPrivateKey(key.path),
  };
}

/** Opened while we still may, for the file is the operator's; the signer alone reads it. */
function openPrivateKey(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `the App's private key ${path} cannot be read`, { cause });
  }
}
