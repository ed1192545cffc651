import type { Budgets, Prices } from "./budget.ts";
import { budgetsOf, checkPrices, pricesOf } from "./budget-settings.ts";
import type { Ceiling } from "./ceiling.ts";
import {
  type ConfigDraft,
  type ConfigProblem,
  type ConfigSources,
  draftConfig,
  placeOf,
  problemsOf,
} from "./config-draft.ts";
import { type AppKeyConfig, appKeyOf, checkAppKey } from "./config-app-key.ts";
import { ConfigSchema, configTable } from "./config-schema.ts";
import { checkFleet, type FleetConfig, fleetOf } from "./config-fleet.ts";
import { checkIssuer, type IssuerConfig, issuerOf } from "./config-issuer.ts";
import { checkRoles, type Role } from "./config-roles.ts";
import { matchesGlob } from "./glob.ts";
import { Secret } from "./secret.ts";
import { parseSetupHost, type SetupHost } from "./setup-host.ts";
import { readStrictYaml } from "./strict-yaml.ts";

/** The service's settings: parsed once, frozen, and handed on in pieces. */
export interface Config {
  /** What this host is; at least one. */
  readonly roles: readonly Role[];
  readonly stateDir: string;
  /** What hosts of one service share; the state folder where there is one host. */
  readonly sharedDir: string;
  readonly cacheDir: string;
  /** Null for the embedded one. */
  readonly redisUrl: Secret | null;
  readonly logLevel: ConfigSchema["log_level"];
  readonly github: {
    readonly url: string;
    readonly webUrl: string;
    readonly gitUrl: string;
    /** Null when there is no App: then only local runs are possible. */
    readonly app: GitHubAppConfig | null;
    /** None, one, or during a change-over two: the present one first. */
    readonly webhookSecrets: readonly Secret[];
    /** Whether pull requests that change task files get a check about it. */
    readonly checksTasks: boolean;
  };
  readonly listen: { readonly webhook: Address; readonly internal: Address; readonly machines: Address };
  readonly model: {
    readonly url: string;
    /** Null when nothing says whose credential to show: then no run is possible. */
    readonly issuer: IssuerConfig | null;
    readonly default: string;
    /** Asked of the model as the most tokens of one answer. */
    readonly outputTokensMax: number;
    readonly prices: Prices;
  };
  readonly budgets: Budgets;
  readonly policy: Ceiling;
  /** The hosts of the ceiling, and where they are. */
  readonly setupHosts: readonly SetupHost[];
  readonly fleet: FleetConfig;
}

export interface GitHubAppConfig {
  readonly id: number;
  readonly key: AppKeyConfig;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Generous for a file of thirty settings. */
const FILE_CHARS_MAX = 64 * 1_024;

/**
 * Reads the settings: the file, the environment over it (an empty variable counts as none), defaults below. Unknown
 * keys and unknown MAYFLY_ names are problems. Messages never show a secret's value. Never throws.
 */
export function parseConfig(sources: ConfigSources): ConfigResult {
  const fileName = sources.file?.name ?? "";
  const file = readStrictYaml(sources.file?.text ?? "", { charsMax: FILE_CHARS_MAX });
  if (!file.ok) {
    const problems = file.problems.map(({ line, column, message }) => {
      return { place: `${fileName}:${line}:${column}`, message, suggestion: null };
    });
    return { ok: false, problems };
  }
  const draft = draftConfig(file.yaml, sources);
  const parsed = ConfigSchema.safeParse(draft.values);
  if (!parsed.success) {
    draft.problems.push(...parsed.error.issues.flatMap((issue) => problemsOf(draft, issue)));
    return { ok: false, problems: draft.problems };
  }
  checkTogether(draft, parsed.data);
  return draft.problems.length > 0
    ? { ok: false, problems: draft.problems }
    : { ok: true, config: deepFreeze(shape(parsed.data, sources)) };
}

/** What only makes sense together. */
function checkTogether(draft: ConfigDraft, data: ConfigSchema): void {
  const { github, policy, model, fleet } = data;
  const report = (key: string, message: string): void => {
    draft.problems.push({ place: placeOf(draft, key.split("."), "key"), message, suggestion: null });
  };
  const named = (name: string): string => `github.${name} (${environmentOf(`github.${name}`)})`;
  const keyName = github.kms_key === null ? "private_key_file" : "kms_key";
  const parts = [
    ...(data.roles.includes("worker") ? (["app_id", keyName] as const) : []),
    ...(data.roles.includes("intake") ? (["webhook_secret"] as const) : []),
  ];
  const missing = parts.filter((name) => github[name] === null);
  if (missing.length > 0 && missing.length < parts.length) {
    const given = parts.find((name) => github[name] !== null) ?? "app_id";
    const choice = (name: string): string =>
      name === "private_key_file" ? `${named(name)} or ${named("kms_key")}` : named(name);
    const names = missing.map(choice);
    report(`github.${given}`, `a GitHub App needs ${names.join(" and ")} as well`);
  }
  if (github.webhook_secret === null && github.webhook_secret_old !== null) {
    report("github.webhook_secret_old", "the old secret counts only beside a present one (MAYFLY_WEBHOOK_SECRET)");
  }
  checkAppKey(github, environmentOf, report);
  checkRoles(data, environmentOf, report);
  checkIssuer(model, environmentOf, report);
  checkPrices(model.prices, environmentOf, report);
  if (!policy.models.some((pattern) => matchesGlob(pattern, model.default))) {
    report("policy.models", `the default model ${model.default} is not among policy.models`);
  }
  checkFleet(fleet, environmentOf, report);
}

function shape(data: ConfigSchema, sources: ConfigSources): Config {
  const { github, listen, model, policy, fleet } = data;
  const setupHosts = policy.setup_hosts.flatMap((text) => parseSetupHost(text) ?? []);
  const webUrl = github.web_url ?? webUrlOf(github.url);
  const stateDir = data.state_dir ?? homeDir(sources, "XDG_STATE_HOME", ".local/state", "/var/lib");
  return {
    roles: [...new Set(data.roles)],
    stateDir,
    sharedDir: data.shared_dir ?? stateDir,
    cacheDir: data.cache_dir ?? homeDir(sources, "XDG_CACHE_HOME", ".cache", "/var/cache"),
    redisUrl: secret(data.redis_url),
    logLevel: data.log_level,
    github: {
      url: github.url,
      webUrl,
      gitUrl: github.git_url ?? webUrl,
      app: appOf(github),
      webhookSecrets: webhookSecretsOf(github),
      checksTasks: github.check_tasks,
    },
    listen,
    model: {
      url: model.url,
      issuer: issuerOf(model),
      default: model.default,
      outputTokensMax: model.output_tokens_max,
      prices: pricesOf(model.prices),
    },
    budgets: budgetsOf(data.budgets),
    policy: {
      labels: policy.labels,
      repositories: policy.repositories,
      models: policy.models,
      safetyStrategies: policy.safety_strategies,
      publications: policy.publications,
      runMsMax: policy.run_minutes_max * 60_000,
      setupHosts: setupHosts.map(({ host }) => host),
    },
    setupHosts,
    fleet: fleetOf(fleet, policy.run_minutes_max * 60_000),
  };
}

function appOf(github: ConfigSchema["github"]): GitHubAppConfig | null {
  const { app_id: id } = github;
  const key = appKeyOf(github);
  return id === null || key === null ? null : { id, key };
}

function webhookSecretsOf({ webhook_secret: present, webhook_secret_old: old }: ConfigSchema["github"]): Secret[] {
  return [present, old].flatMap((text) => (text === null ? [] : [new Secret(text)]));
}

function secret(text: string | null): Secret | null {
  return text === null ? null : new Secret(text);
}

/** As the XDG base directory specification has it; for root or without a home, the place of a system service. */
function homeDir({ environment, isRoot }: ConfigSources, name: string, below: string, system: string): string {
  const { [name]: own, HOME: home } = environment;
  if (isRoot === true) {
    return `${system}/mayfly`;
  }
  if (own?.startsWith("/") === true) {
    return `${own}/mayfly`;
  }
  return home?.startsWith("/") === true ? `${home.replace(/\/+$/, "")}/${below}/mayfly` : `${system}/mayfly`;
}

/**
 * github.com and GitHub Enterprise Cloud with data residency (`SUBDOMAIN.ghe.com`) have their API on a host of its own,
 * GitHub Enterprise Server below /api/v3.
 */
function webUrlOf(apiUrl: string): string {
  const own = /^https:\/\/api\.(github\.com|[a-z0-9-]+\.ghe\.com)$/i.exec(apiUrl)?.[1];
  return own === undefined ? apiUrl.replace(/\/api\/v3$/, "") : `https://${own}`;
}

function environmentOf(key: string): string {
  return configTable.find((row) => row.key === key)?.environment ?? key;
}

/** Secrets keep their value out of reach by themselves. */
function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
