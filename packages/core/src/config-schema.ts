import { z } from "zod";
import { limits } from "./limits.ts";
import { setting, settingRows } from "./setting.ts";
import { publications } from "./task-options.ts";

/** Beyond a thousand machines a fleet wants more than one service. */
const MACHINES_MAX = 1_000;
const RUN_MINUTES_MAX = 24 * 60;
const LIST_MAX = 1_000;
const TEXT_CHARS_MAX = 1_024;
/** GitHub's own advice for webhook secrets is high entropy; shorter than this can be guessed. */
const WEBHOOK_SECRET_CHARS_MIN = 16;

const Text = z.string().min(1).max(TEXT_CHARS_MAX);
const Path = Text.refine((path) => !path.includes("\0"), "must be a path");
const Url = Text.refine(isBaseUrl, "must be an http or https address without user, query or fragment").transform(
  (url) => url.replace(/\/+$/, ""),
);
const RedisUrl = Text.refine(isRedisUrl, "must be an address such as redis://127.0.0.1:6379");
/** One message for every way to miss it. */
const wholeNumber = (min: number, max: number): z.ZodInt => {
  const range = max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : ` from ${min} to ${max}`;
  return z.int(`must be a whole number${range}`).min(min).max(max);
};
const Port = wholeNumber(0, 65_535);
const WebhookSecret = Text.min(WEBHOOK_SECRET_CHARS_MIN, `must have at least ${WEBHOOK_SECRET_CHARS_MIN} characters`);
const listOf = <T extends z.ZodType<string>>(item: T): z.ZodArray<T> => z.array(item).min(1).max(LIST_MAX);

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
/** The strategies this version offers; `unsafe` is known, and refused. */
const strategiesOffered = ["unprivileged-user", "drop-sudo", "read-only"] as const;

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
  private_key_file: setting(
    { environment: "MAYFLY_GITHUB_PRIVATE_KEY_FILE", description: "The file with the App's private key (PEM)." },
    Path.nullable().default(null),
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
});

const Model = z.strictObject({
  url: setting(
    {
      environment: "OPENAI_BASE_URL",
      description: "The Responses API that the broker calls, without `/responses`.",
    },
    Url.default("https://api.openai.com/v1"),
  ),
  key: setting(
    {
      environment: "OPENAI_API_KEY",
      description: "The key for it. It stays in the broker: no machine ever sees it.",
    },
    Text.nullable().default(null),
  ),
  default: setting(
    { environment: "MAYFLY_MODEL", description: "The model of tasks that name none." },
    Text.max(128).default("gpt-5.5"),
  ),
});

const Policy = z.strictObject({
  labels: setting(
    {
      environment: "MAYFLY_LABELS",
      description: "Labels that start runs. `*` stands for any characters but `/`; case does not count.",
    },
    listOf(Text).default(["codex-*"]),
  ),
  repositories: setting(
    {
      environment: "MAYFLY_REPOSITORIES",
      description: "Repositories that may have runs, as `owner/name`, with `*` as above.",
    },
    listOf(Text.regex(/^[^/]+\/[^/]+$/, "must be owner/name")).default(["*/*"]),
  ),
  models: setting(
    { environment: "MAYFLY_MODELS", description: "Models that tasks may name, with `*` as above." },
    listOf(Text).default(["*"]),
  ),
  safety_strategies: setting(
    { environment: "MAYFLY_SAFETY_STRATEGIES", description: "Safety strategies that tasks may name." },
    listOf(z.enum(strategiesOffered)).default([...strategiesOffered]),
  ),
  publications: setting(
    { environment: "MAYFLY_PUBLICATIONS", description: "What tasks may put on a pull request." },
    listOf(z.enum(publications)).default([...publications]),
  ),
  run_minutes_max: setting(
    { environment: "MAYFLY_RUN_MINUTES_MAX", description: "The longest timeout that a task may name, in minutes." },
    wholeNumber(1, RUN_MINUTES_MAX).default(limits.runMsMax / 60_000),
  ),
});

const Fleet = z.strictObject({
  provider: setting(
    { environment: "MAYFLY_PROVIDER", description: "What makes the machines: `qemu`, on this host." },
    z.enum(["qemu"]).default("qemu"),
  ),
  machines_max: setting(
    { environment: "MAYFLY_MACHINES_MAX", description: "Machines at once, at most." },
    wholeNumber(1, MACHINES_MAX).default(limits.machinesMaxDefault),
  ),
  memory_mib: setting(
    { environment: "MAYFLY_MACHINE_MEMORY_MIB", description: "A machine's memory, in MiB. Its disk is in there too." },
    wholeNumber(512, 1_048_576).default(2048),
  ),
  cpus: setting(
    { environment: "MAYFLY_MACHINE_CPUS", description: "A machine's processors." },
    wholeNumber(1, 256).default(2),
  ),
  allow_emulation: setting(
    {
      environment: "MAYFLY_ALLOW_EMULATION",
      description: "Run machines without KVM too: slow, and only for code you trust. Receipts say `emulated`.",
    },
    z.boolean("must be true or false").default(false),
  ),
  warm: setting(
    { environment: "MAYFLY_WARM", description: "Machines that are kept booted and waiting." },
    wholeNumber(0, MACHINES_MAX).default(0),
  ),
});

/** The file, and the environment over it, as an operator writes them. */
export const ConfigSchema = z.strictObject({
  state_dir: setting(
    {
      environment: "MAYFLY_STATE_DIR",
      description: "Everything the service must not lose.",
      defaultText: "`/var/lib/mayfly` for root, else `$XDG_STATE_HOME/mayfly` or `~/.local/state/mayfly`",
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
  policy: Policy.prefault({}),
  fleet: Fleet.prefault({}),
});
export type ConfigSchema = z.infer<typeof ConfigSchema>;

/** Settings whose value no message, log or page shows. A Redis address can hold a password. */
const secretKeys = ["redis_url", "github.webhook_secret", "github.webhook_secret_old", "model.key"];

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

function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && ["redis:", "rediss:", "unix:"].includes(url.protocol);
}
