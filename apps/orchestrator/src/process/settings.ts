import type { Address, Config, GitHubAppConfig, Run } from "@mayfly/core";
import type { Image } from "@mayfly/image";
import type { BrokerModel } from "../broker/broker.ts";
import type { AwsCredentials } from "./machine-host.ts";

/** The service knows which model tasks get when they name none, and where it is; it has no credential for it. */
export type ServiceConfig = Omit<Config, "model"> & {
  readonly model: Pick<Config["model"], "url" | "default" | "prices">;
};

/** What the service is told: `mayfly serve`. */
export interface ServiceSettings {
  readonly config: ServiceConfig;
  readonly app: GitHubAppConfig;
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
  readonly redisUrl: Config["redisUrl"];
  readonly logLevel: Config["logLevel"];
  /** Where machines come in; null where each has a socket of its own. */
  readonly door: Address | null;
  readonly model: BrokerModel;
  readonly budgets: Config["budgets"];
}

/** What the signer is told. The App's private key comes on a descriptor of its own. */
export interface SignerSettings {
  readonly stateDir: string;
  readonly logLevel: Config["logLevel"];
  readonly url: string;
  readonly appId: number;
}

/** The settings as the service may have them. */
export function serviceConfigOf(config: Config): ServiceConfig {
  const { url, default: name, prices } = config.model;
  return { ...config, model: { url, default: name, prices } };
}
