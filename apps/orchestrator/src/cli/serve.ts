import type { ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { AppError, type Config, type GitHubAppConfig, Secret } from "@mayfly/core";
import { readAccounts } from "../host/account.ts";
import { type AwsCredentials, prepareImage } from "../process/machine-host.ts";
import { brokerPart, prepareFolders } from "../process/parts.ts";
import { serviceConfigOf, type ServiceSettings, type SignerSettings } from "../process/settings.ts";
import { supervise } from "../process/supervise.ts";
import { createProgress } from "./progress.ts";
import { loadSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** What no setting reaches: for tests that look into a machine. */
interface ServeOptions {
  /** Told of the service's process. */
  readonly onMain?: (child: ChildProcess) => void;
}

/**
 * `mayfly serve`: the service, the broker and the signer, each in a process and, started as root, under a user of its
 * own. This process starts them and listens nowhere.
 */
export async function serve(
  terminal: Terminal,
  flags: { config?: string; state?: string },
  options: ServeOptions = {},
): Promise<number> {
  const config = loadSettings(terminal, flags);
  const app = requireApp(config);
  const broker = brokerPart(config);
  // Looked at now, so that a mistake is told before anything is built.
  closeSync(openPrivateKey(app));
  const image = config.fleet.provider === "ec2" ? null : await prepareImage(config, createProgress(terminal));
  const accounts = terminal.isRoot ? readAccounts() : null;
  const { stateDir, logLevel } = config;
  prepareFolders(stateDir, accounts);
  const service: ServiceSettings = { config: serviceConfigOf(config), app, image, aws: awsOf(config, terminal.env) };
  const signer: SignerSettings = { stateDir, logLevel, url: config.github.url, appId: app.id };
  return supervise({
    terminal,
    main: { name: "service", account: accounts?.service ?? null, settings: service },
    others: [
      { ...broker, account: accounts?.broker ?? null },
      {
        name: "signer",
        account: accounts?.signer ?? null,
        settings: signer,
        openFile: () => openPrivateKey(app),
      },
    ],
    ...options,
  });
}

function requireApp(config: Config): GitHubAppConfig {
  if (config.github.app === null) {
    throw new AppError(
      "CONFIG_INVALID",
      "no GitHub App is set: MAYFLY_GITHUB_APP_ID, MAYFLY_GITHUB_PRIVATE_KEY_FILE and MAYFLY_WEBHOOK_SECRET are needed to take webhooks",
    );
  }
  return config.github.app;
}

/**
 * A key in our environment is handed over as a secret, since the environments of our processes carry none. Null without
 * one: the SDK then looks for files and for the role of the host.
 */
function awsOf(config: Config, env: Terminal["env"]): AwsCredentials | null {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: session } = env;
  if (config.fleet.provider !== "ec2" || !id || !secret) {
    return null;
  }
  return { accessKeyId: id, secretAccessKey: new Secret(secret), sessionToken: session ? new Secret(session) : null };
}

/** Opened while we still may, for the file is the operator's; the signer alone reads it. */
function openPrivateKey(app: GitHubAppConfig): number {
  try {
    return openSync(app.privateKeyFile, "r");
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `the App's private key ${app.privateKeyFile} cannot be read`, { cause });
  }
}
