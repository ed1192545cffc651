import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { AppError, type Config, type GitHubAppConfig, Secret } from "@mayfly/core";
import { readAccounts } from "../host/account.ts";
import type { AwsCredentials } from "../process/aws-credentials.ts";
import { prepareImage } from "../process/machine-host.ts";
import { brokerPart, prepareFolders } from "../process/parts.ts";
import { serviceConfigOf, type ServiceSettings } from "../process/settings.ts";
import { signerPart } from "../process/signer-part.ts";
import { type Part, supervise } from "../process/supervise.ts";
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
 * own; of these what this host's roles need, and none is told what its roles do not need. This process starts them and
 * listens nowhere.
 */
export async function serve(
  terminal: Terminal,
  flags: { config?: string; state?: string; roles?: string },
  options: ServeOptions = {},
): Promise<number> {
  const config = loadSettings(terminal, flags);
  const { roles, stateDir, sharedDir } = config;
  const app = roles.includes("worker") ? requireApp(config) : null;
  requireWebhookSecret(config);
  const host = randomUUID();
  const broker = roles.includes("broker") ? brokerPart(config, host) : null;
  const given = app === null ? null : awsOf(terminal.env);
  const signer = app === null ? null : signerPart(config, app, given);
  const makesMachines = app !== null && config.fleet.provider === "qemu";
  const image = makesMachines ? await prepareImage(config, createProgress(terminal)) : null;
  const accounts = terminal.isRoot ? readAccounts() : null;
  prepareFolders(stateDir, sharedDir, accounts);
  const aws = config.fleet.provider === "ec2" ? given : null;
  const service: ServiceSettings = { config: serviceConfigOf(config), app, host, image, aws };
  const others: Part[] = [];
  if (broker !== null) {
    others.push({ ...broker, account: accounts?.broker ?? null });
  }
  if (signer !== null) {
    others.push({ ...signer, account: accounts?.signer ?? null });
  }
  const main: Part = { name: "service", account: accounts?.service ?? null, settings: service };
  return supervise({ terminal, main, others, ...options });
}

/** The App as a worker needs it. Throws CONFIG_INVALID with what to set. */
export function requireApp(config: Config): GitHubAppConfig {
  if (config.github.app === null) {
    throw new AppError(
      "CONFIG_INVALID",
      config.roles.includes("intake")
        ? "no GitHub App is set: MAYFLY_GITHUB_APP_ID, MAYFLY_GITHUB_PRIVATE_KEY_FILE (or MAYFLY_GITHUB_KMS_KEY) and MAYFLY_WEBHOOK_SECRET are needed to take webhooks"
        : "no GitHub App is set: the role worker needs MAYFLY_GITHUB_APP_ID and MAYFLY_GITHUB_PRIVATE_KEY_FILE (or MAYFLY_GITHUB_KMS_KEY)",
    );
  }
  return config.github.app;
}

/** Throws CONFIG_INVALID where the role intake has no secret to know GitHub by. */
export function requireWebhookSecret({ roles, github }: Config): void {
  if (roles.includes("intake") && github.webhookSecrets.length === 0) {
    throw new AppError("CONFIG_INVALID", "no webhook secret is set: the role intake needs MAYFLY_WEBHOOK_SECRET");
  }
}

/**
 * A key in our environment is handed over as a secret, since the environments of our processes carry none. Null without
 * one: the SDK then looks for files and for the role of the host.
 */
function awsOf(env: Terminal["env"]): AwsCredentials | null {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: session } = env;
  if (!id || !secret) {
    return null;
  }
  return { accessKeyId: id, secretAccessKey: new Secret(secret), sessionToken: session ? new Secret(session) : null };
}
