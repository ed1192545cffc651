import { z } from "zod";
import { BudgetSettings, PriceSettings } from "./budget-settings.ts";
import { appKeySettings } from "./config-app-key.ts";
import { FleetSection } from "./config-fleet.ts";
import { PolicySection } from "./config-policy.ts";
import { Role, roles } from "./config-roles.ts";
import { limits } from "./limits.ts";
import { MODEL_SHAPE_HEADER } from "./protocol.ts";
import { LIST_MAX, listOf, setting, settingRows, Text, wholeNumber } from "./setting.ts";

/** A key must outlast the making of the next one, and a service that is down for a day leaves none behind. */
const KEY_SECONDS_MIN = 300;
const KEY_SECONDS_MAX = 24 * 60 * 60;
/** GitHub's own advice for webhook secrets is high entropy; shorter than this can be guessed. */
const WEBHOOK_SECRET_CHARS_MIN = 16;

const Path = Text.refine((path) => !path.includes("\0"), "must be a path");
const Url = Text.refine(isBaseUrl, "must be an http or https address without user, query or fragment").transform(
  (url) => url.replace(/\/+$/, ""),
);
const RedisUrl = Text.refine(isRedisUrl, "must be an address such as redis://127.0.0.1:6379");
const Port = wholeNumber(0, 65_535);
const WebhookSecret = Text.min(WEBHOOK_SECRET_CHARS_MIN, `must have at least ${WEBHOOK_SECRET_CHARS_MIN} characters`);
/** It stands in a header, where anything else would be refused by an error that quotes it. */
const ApiKey = Text.regex(/^[\x21-\x7e]+$/, "must be printable ASCII characters without spaces");
const OpenAiId = Text.regex(/^[A-Za-z0-9_-]{1,128}$/, "must be an id: letters, digits, `_` and `-`");
const Scope = Text.regex(/^[A-Za-z0-9_.:-]{1,128}$/, "must be scopes such as api.all.read");
/** The Admin API is shown a key that can make keys. */
const AdminUrl = Url.refine(isPrivateUrl, "must be an https address (http on this host alone)");
const HeaderName = Text.max(64)
  .toLowerCase()
  .regex(/^[a-z0-9_-]+$/, "must be the name of a header")
  .refine((name) => !headersOfCalls.includes(name), "must be no header that every call has");
const HeaderPrefix = z
  .string()
  .max(64)
  .regex(/^[\x20-\x7e]*$/, "must be printable ASCII characters");

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const issuers = ["static", "openai-service-account", "compatible"] as const;
/** Where model calls go when nothing else is said. */
export const openAiUrl = "https://api.openai.com/v1";
/** Headers of a model call that mean something else than who calls. */
const headersOfCalls = [
  "accept",
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "cookie",
  "expect",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  MODEL_SHAPE_HEADER,
];

const GitHub = z.strictObject({
  url: setting(
    {
      environment: "MAYFLY_GITHUB_URL",
      description: "GitHub's API. For GitHub Enterprise Server: `https://github.example.com/api/v3`.",
    },
    Url.default("https://api.github.com"),
  ),
  web_url: setting(
    {
      environment: "MAYFLY_GITHUB_WEB_URL",
      description: "GitHub's pages, for links.",
      defaultText: "derived from `github.url`",
    },
    Url.nullable().default(null),
  ),
  git_url: setting(
    {
      environment: "MAYFLY_GITHUB_GIT_URL",
      description: "Where repositories are fetched from.",
      defaultText: "`github.web_url`",
    },
    Url.nullable().default(null),
  ),
  app_id: setting(
    {
      environment: "MAYFLY_GITHUB_APP_ID",
      description: "The number of your GitHub App. Without it no webhook is taken.",
    },
    wholeNumber(1, Number.MAX_SAFE_INTEGER).nullable().default(null),
  ),
  ...appKeySettings,
  check_tasks: setting(
    {
      environment: "MAYFLY_CHECK_TASKS",
      description:
        "Say in a check what a pull request's changes of task files come to. It costs two small requests for each push.",
    },
    z.boolean("must be true or false").default(true),
  ),
  webhook_secret: setting(
    { environment: "MAYFLY_WEBHOOK_SECRET", description: "The App's webhook secret, at least 16 characters." },
    WebhookSecret.nullable().default(null),
  ),
  webhook_secret_old: setting(
    {
      environment: "MAYFLY_WEBHOOK_SECRET_OLD",
      description: "The secret before it, taken as well while you change it over. Remove it afterwards.",
    },
    WebhookSecret.nullable().default(null),
  ),
});

const Listen = z.strictObject({
  webhook: z
    .strictObject({
      host: setting(
        {
          environment: "MAYFLY_LISTEN_WEBHOOK_HOST",
          description: "The address that takes webhooks. Put a proxy with TLS in front of it.",
        },
        Text.default("127.0.0.1"),
      ),
      port: setting(
        { environment: "MAYFLY_LISTEN_WEBHOOK_PORT", description: "Its port; 0 takes any free one." },
        Port.default(3000),
      ),
    })
    .prefault({}),
  internal: z
    .strictObject({
      host: setting(
        {
          environment: "MAYFLY_LISTEN_INTERNAL_HOST",
          description: "The address for readiness (`/readyz`). Keep it private.",
        },
        Text.default("127.0.0.1"),
      ),
      port: setting(
        { environment: "MAYFLY_LISTEN_INTERNAL_PORT", description: "Its port; 0 takes any free one." },
        Port.default(3001),
      ),
    })
    .prefault({}),
  machines: z
    .strictObject({
      host: setting(
        {
          environment: "MAYFLY_LISTEN_MACHINES_HOST",
          description:
            "`ec2`: the address at which machines come to the broker, by mutual TLS. Only their network should lead there.",
        },
        Text.default("0.0.0.0"),
      ),
      port: setting(
        { environment: "MAYFLY_LISTEN_MACHINES_PORT", description: "Its port, which the machines' image names too." },
        Port.default(8443),
      ),
    })
    .prefault({}),
});

/** More than any model gives in one answer. */
const OUTPUT_TOKENS_MAX = 1_000_000;

const Model = z.strictObject({
  url: setting(
    {
      environment: "OPENAI_BASE_URL",
      description: "The Responses API that the broker calls, without `/responses`.",
    },
    Url.default(openAiUrl),
  ),
  issuer: setting(
    {
      environment: "MAYFLY_MODEL_ISSUER",
      description:
        "Where the broker has its credential from: `static`, OpenAI's key in `model.key`; `openai-service-account`, a key for every attempt, deleted at its end; `compatible`, another endpoint with its own key and header, or with none.",
    },
    z.enum(issuers).default("static"),
  ),
  key: setting(
    {
      environment: "OPENAI_API_KEY",
      description: "The key for it. It stays in the broker: no machine ever sees it.",
    },
    ApiKey.nullable().default(null),
  ),
  header: setting(
    {
      environment: "MAYFLY_MODEL_HEADER",
      description: "`compatible`: the header that the key stands in, such as `api-key`.",
      defaultText: "`authorization`",
    },
    HeaderName.nullable().default(null),
  ),
  header_prefix: setting(
    {
      environment: "MAYFLY_MODEL_HEADER_PREFIX",
      description:
        "`compatible`: what stands before the key in that header. In the file, two quotes stand for nothing.",
      defaultText: "`Bearer` and a space for `authorization`, nothing for any other",
    },
    HeaderPrefix.nullable().default(null),
  ),
  admin_key: setting(
    {
      environment: "MAYFLY_MODEL_ADMIN_KEY",
      description:
        "`openai-service-account`: the Admin API key that may make and delete the project's keys. It stays in the broker.",
    },
    ApiKey.nullable().default(null),
  ),
  admin_url: setting(
    {
      environment: "MAYFLY_MODEL_ADMIN_URL",
      description: "`openai-service-account`: OpenAI's Admin API.",
      defaultText: "`https://api.openai.com/v1`",
    },
    AdminUrl.nullable().default(null),
  ),
  project: setting(
    {
      environment: "MAYFLY_MODEL_PROJECT",
      description: "`openai-service-account`: the id of the project that pays.",
    },
    OpenAiId.nullable().default(null),
  ),
  service_account: setting(
    {
      environment: "MAYFLY_MODEL_SERVICE_ACCOUNT",
      description:
        "`openai-service-account`: the id of the project's service account that owns the keys. Give each service one of its own: keys named `mayfly-…` whose attempt it does not know are deleted.",
    },
    OpenAiId.nullable().default(null),
  ),
  scopes: setting(
    {
      environment: "MAYFLY_MODEL_SCOPES",
      description: "`openai-service-account`: what the keys may do, as OpenAI's dashboard names it.",
    },
    z
      .array(Scope)
      .min(1, "must name at least one scope: OpenAI takes an empty list for all of them")
      .max(LIST_MAX)
      .nullable()
      .default(null),
  ),
  key_seconds: setting(
    {
      environment: "MAYFLY_MODEL_KEY_SECONDS",
      description:
        "`openai-service-account`: how long a key lives if nobody deletes it. A longer attempt gets another in time.",
      defaultText: "3600",
    },
    wholeNumber(KEY_SECONDS_MIN, KEY_SECONDS_MAX).nullable().default(null),
  ),
  default: setting(
    { environment: "MAYFLY_MODEL", description: "The model of tasks that name none." },
    Text.max(128).default("gpt-5.5"),
  ),
  output_tokens_max: setting(
    {
      environment: "MAYFLY_MODEL_OUTPUT_TOKENS_MAX",
      description:
        "The most tokens of one answer, as the broker asks the model (`max_output_tokens`) and charges before a call. Lower it for a model that allows fewer.",
    },
    wholeNumber(1, OUTPUT_TOKENS_MAX).default(limits.modelOutputTokensMax),
  ),
  prices: PriceSettings.prefault({}),
});

/** The file, and the environment over it, as an operator writes them. */
export const ConfigSchema = z.strictObject({
  roles: setting(
    {
      environment: "MAYFLY_ROLES",
      description:
        "What this host is: `intake` takes webhooks, `worker` does the runs, `broker` is what machines speak to, `web` answers the command line. Any number of hosts can be each; all of them need one `redis_url`. `docs/operations/roles.md` says which go where.",
    },
    listOf(Role).default([...roles]),
  ),
  state_dir: setting(
    {
      environment: "MAYFLY_STATE_DIR",
      description: "Everything the service must not lose. Each host has its own.",
      defaultText: "`/var/lib/mayfly` for root, else `$XDG_STATE_HOME/mayfly` or `~/.local/state/mayfly`",
    },
    Path.nullable().default(null),
  ),
  shared_dir: setting(
    {
      environment: "MAYFLY_SHARED_DIR",
      description:
        "What several hosts share: receipts and their public keys, packed source, the keys of the broker's door. One folder for all of them, such as one on NFS.",
      defaultText: "`state_dir`",
    },
    Path.nullable().default(null),
  ),
  cache_dir: setting(
    {
      environment: "MAYFLY_CACHE_DIR",
      description: "What can be fetched or built again.",
      defaultText: "`/var/cache/mayfly` for root, else `$XDG_CACHE_HOME/mayfly` or `~/.cache/mayfly`",
    },
    Path.nullable().default(null),
  ),
  redis_url: setting(
    {
      environment: "MAYFLY_REDIS_URL",
      description: "A Redis of your own, with `appendonly yes` and `noeviction`.",
      defaultText: "none: the service starts one for itself",
    },
    RedisUrl.nullable().default(null),
  ),
  log_level: setting(
    { environment: "MAYFLY_LOG_LEVEL", description: `How much is logged: ${logLevels.join(", ")}.` },
    z.enum(logLevels).default("info"),
  ),
  github: GitHub.prefault({}),
  listen: Listen.prefault({}),
  model: Model.prefault({}),
  budgets: BudgetSettings.prefault({}),
  policy: PolicySection.prefault({}),
  fleet: FleetSection.prefault({}),
});
export type ConfigSchema = z.infer<typeof ConfigSchema>;

/** Settings whose value no message, log or page shows. A Redis address can hold a password. */
const secretKeys = ["redis_url", "github.webhook_secret", "github.webhook_secret_old", "model.key", "model.admin_key"];

/** Every setting with its one file key and its one environment name. */
export const configTable = settingRows(ConfigSchema, secretKeys);

/** Names of the environment that are no settings of the file. */
export const otherEnvironment: Readonly<Record<string, string>> = {
  MAYFLY_CONFIG: "The settings file itself (YAML).",
};

function isBaseUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null &&
    (url.protocol === "https:" || url.protocol === "http:") &&
    url.username === "" &&
    url.password === "" &&
    url.search === "" &&
    url.hash === ""
  );
}

/** Nobody on the way can read what is sent there. */
function isPrivateUrl(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === "https:" || ["127.0.0.1", "[::1]", "localhost"].includes(url?.hostname ?? "");
}

function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && ["redis:", "rediss:", "unix:"].includes(url.protocol);
}
