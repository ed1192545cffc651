import type { Address, AppKeyConfig, Config, GitHubAppConfig, Run } from "@mayfly/core";
import type { Image } from "@mayfly/image";
import type { BrokerModel } from "../broker/broker.ts";
import type { AwsCredentials } from "./aws-credentials.ts";

/** The service knows which model tasks get when they name none, and where it is; it has no credential for it. */
export type ServiceConfig = Omit<Config, "model"> & {
  readonly model: Pick<Config["model"], "url" | "default" | "prices">;
};

/** What the service is told: `mayfly serve`. */
export interface ServiceSettings {
  readonly config: ServiceConfig;
  /** Null where this host is no worker. */
  readonly app: GitHubAppConfig | null;
  /** This host among those of the service. */
  readonly host: string;
  /** Null where machines are not on this host. */
  readonly image: Image | null;
  readonly aws: AwsCredentials | null;
}

/** What the service for one local run is told: `mayfly run local`. */
export interface LocalSettings {
  readonly config: ServiceConfig;
  readonly image: Image;
  readonly run: Run;
  readonly json: boolean;
  /** Null: only what is wrong is logged, since a person watches. */
  readonly logLevel: Config["logLevel"] | null;
}

/** What the broker is told: the model's credential, and nothing of GitHub. */
export interface BrokerSettings {
  readonly stateDir: string;
  readonly sharedDir: string;
  /** This host among those of the service, if they speak through Redis; null where all is here. */
  readonly spreadAs: string | null;
  readonly redisUrl: Config["redisUrl"];
  readonly logLevel: Config["logLevel"];
  /** Where machines come in; null where each has a socket of its own. */
  readonly door: Address | null;
  readonly model: BrokerModel;
  readonly budgets: Config["budgets"];
  readonly setupHosts: Config["setupHosts"];
}

/** Where the signer has the App's private key from. */
export type AppKeySettings =
  /** From a descriptor of its own. */
  { readonly kind: "file" } | (Extract<AppKeyConfig, { kind: "kms" }> & { readonly aws: AwsCredentials | null });

/** What the signer is told. */
export interface SignerSettings {
  readonly stateDir: string;
  readonly logLevel: Config["logLevel"];
  readonly url: string;
  readonly appId: number;
  readonly key: AppKeySettings;
}

/** The settings as the service may have them: without the model's credential, and of GitHub what its roles are for. */
export function serviceConfigOf(all: Config): ServiceConfig {
  const config = { ...all, github: githubOf(all) };
  const { url, default: name, prices } = config.model;
  return { ...config, model: { url, default: name, prices } };
}

function githubOf({ roles, github }: Config): Config["github"] {
  const isWorker = roles.includes("worker");
  // A worker that has them looks for them in what it publishes; it can do without.
  const mayHave = isWorker || roles.includes("intake");
  return { ...github, app: isWorker ? github.app : null, webhookSecrets: mayHave ? github.webhookSecrets : [] };
}

/** Whether worker and broker speak through Redis, for there may be several of each; else over sockets of their host. */
export function isSpread({ redisUrl, fleet }: Pick<Config, "redisUrl" | "fleet">): boolean {
  return redisUrl !== null && fleet.provider === "ec2";
}
