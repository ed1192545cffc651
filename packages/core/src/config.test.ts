import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { configDocs } from "./config-docs.ts";
import { ConfigSchema, configTable } from "./config-schema.ts";
import type { ConfigProblem, ConfigSources } from "./config-draft.ts";
import { type Config, parseConfig } from "./config.ts";

const app = {
  MAYFLY_GITHUB_APP_ID: "3",
  MAYFLY_GITHUB_PRIVATE_KEY_FILE: "/k.pem",
  MAYFLY_WEBHOOK_SECRET: "s".repeat(16),
};

function parse(environment: ConfigSources["environment"], text?: string) {
  return parseConfig({ environment, ...(text === undefined ? {} : { file: { name: "config.yaml", text } }) });
}

function config(environment: ConfigSources["environment"], text?: string): Config {
  const result = parse(environment, text);
  if (!result.ok) {
    throw new Error(JSON.stringify(result.problems));
  }
  return result.config;
}

function problems(environment: ConfigSources["environment"], text?: string): readonly ConfigProblem[] {
  const result = parse(environment, text);
  return result.ok ? [] : result.problems;
}

describe("parseConfig", () => {
  it("keeps root's service out of root's home", () => {
    const parsed = parseConfig({ environment: { HOME: "/root", XDG_CACHE_HOME: "/c" }, isRoot: true });
    expect(parsed).toMatchObject({ ok: true, config: { stateDir: "/var/lib/mayfly", cacheDir: "/var/cache/mayfly" } });
  });

  it("reads the hosts of set-ups from a file or the environment, and names one that is none", () => {
    const environment = { MAYFLY_SETUP_HOSTS: "packages.example.com, mirror.example.com=192.0.2.7:8443" };
    expect(config(environment)).toMatchObject({
      policy: { setupHosts: ["packages.example.com", "mirror.example.com"] },
      setupHosts: [
        { host: "packages.example.com", at: null },
        { host: "mirror.example.com", at: { address: "192.0.2.7", port: 8443 } },
      ],
    });
    expect(problems({}, "policy: { setup_hosts: ['*.example.com'] }")).toMatchObject([
      { message: expect.stringContaining("must be HOST, HOST=ADDRESS or HOST=ADDRESS:PORT") },
    ]);
  });

  it("has a default for everything", () => {
    expect(config({ HOME: "/home/alice" })).toEqual({
      roles: ["intake", "worker", "broker", "web"],
      stateDir: "/home/alice/.local/state/mayfly",
      sharedDir: "/home/alice/.local/state/mayfly",
      cacheDir: "/home/alice/.cache/mayfly",
      redisUrl: null,
      logLevel: "info",
      github: {
        url: "https://api.github.com",
        webUrl: "https://github.com",
        gitUrl: "https://github.com",
        app: null,
        webhookSecrets: [],
        checksTasks: true,
      },
      listen: {
        webhook: { host: "127.0.0.1", port: 3000 },
        internal: { host: "127.0.0.1", port: 3001 },
        machines: { host: "0.0.0.0", port: 8443 },
      },
      model: {
        url: "https://api.openai.com/v1",
        issuer: null,
        default: "gpt-5.5",
        outputTokensMax: 128_000,
        prices: { asOf: null, rows: [] },
      },
      budgets: {
        attempt: { requests: 500, inputTokens: 20_000_000, outputTokens: 1_000_000, microUsd: 100_000_000 },
        run: { requests: 750, inputTokens: 30_000_000, outputTokens: 1_500_000, microUsd: 150_000_000 },
        repository_day: { requests: 5_000, inputTokens: null, outputTokens: null, microUsd: 500_000_000 },
        installation_day: { requests: 20_000, inputTokens: null, outputTokens: null, microUsd: 2_000_000_000 },
      },
      policy: {
        labels: ["codex-*"],
        repositories: ["*/*"],
        models: ["*"],
        safetyStrategies: ["unprivileged-user", "drop-sudo", "read-only"],
        publications: ["comment", "check", "review"],
        runMsMax: 3_600_000,
        setupHosts: [],
      },
      setupHosts: [],
      fleet: {
        provider: "qemu",
        machinesMax: 4,
        machinesPerInstallationMax: null,
        launchesPerHourMax: 600,
        money: null,
        memoryMib: 2048,
        cpus: 2,
        allowEmulation: false,
        warm: 0,
        warmMax: 0,
        warmSchedule: [],
        runMsMax: 3_600_000,
        ec2: null,
      },
    });
  });

  it.each([
    [{}, "/var/lib/mayfly", "/var/cache/mayfly"],
    [{ HOME: "/root/" }, "/root/.local/state/mayfly", "/root/.cache/mayfly"],
    [{ HOME: "/root", XDG_STATE_HOME: "/s", XDG_CACHE_HOME: "/c" }, "/s/mayfly", "/c/mayfly"],
    [{ HOME: "/root", XDG_STATE_HOME: "relative" }, "/root/.local/state/mayfly", "/root/.cache/mayfly"],
    [{ MAYFLY_STATE_DIR: "/mine", MAYFLY_CACHE_DIR: "/his" }, "/mine", "/his"],
  ])("finds its folders from %j", (environment, stateDir, cacheDir) => {
    expect(config(environment)).toMatchObject({ stateDir, cacheDir });
  });

  it("lets the environment win over the file, and an empty variable count as none", () => {
    const text = "fleet:\n  cpus: 3\n  warm: 1\nlog_level: debug\n";
    expect(config({ MAYFLY_MACHINE_CPUS: "4", MAYFLY_WARM: "", MAYFLY_ALLOW_EMULATION: "true" }, text)).toMatchObject({
      fleet: { cpus: 4, warm: 1, allowEmulation: true },
      logLevel: "debug",
    });
  });

  it("takes an empty section for none", () => {
    expect(config({}, "fleet:\n  # cpus: 4\nredis_url:\n")).toMatchObject({ fleet: { cpus: 2 }, redisUrl: null });
  });

  it("reads lists from the environment", () => {
    expect(config({ MAYFLY_LABELS: "codex-*, review ,", MAYFLY_REPOSITORIES: "example/*" }).policy).toMatchObject({
      labels: ["codex-*", "review"],
      repositories: ["example/*"],
    });
  });

  it.each([
    ["https://github.example.com/api/v3/", "https://github.example.com"],
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["https://api.github.com/", "https://github.com"],
    ["https://api.example.ghe.com", "https://example.ghe.com"],
  ])("derives GitHub's pages from %s", (url, webUrl) => {
    expect(config({ MAYFLY_GITHUB_URL: url }).github).toMatchObject({ webUrl, gitUrl: webUrl });
  });

  it("takes two webhook secrets, the present one first", () => {
    const { github } = config({ ...app, MAYFLY_WEBHOOK_SECRET_OLD: "o".repeat(16) });
    expect(github.webhookSecrets.map((secret) => secret.reveal())).toEqual(["s".repeat(16), "o".repeat(16)]);
  });

  it("freezes the whole of it", () => {
    const frozen = config(app);
    expect(
      [frozen, frozen.github.app, frozen.policy.labels, frozen.listen.webhook].every((part) => Object.isFrozen(part)),
    ).toBe(true);
  });

  it.each<[string, ConfigSources["environment"], string | undefined, Partial<ConfigProblem>]>([
    [
      "an unknown key",
      {},
      "a: 1\n",
      { place: "config.yaml:1:1", message: 'there is no setting "a"', suggestion: null },
    ],
    ["a mistyped key", {}, "fleet:\n  machine_max: 1\n", { place: "config.yaml:2:3", suggestion: "machines_max" }],
    ["a mistyped section", {}, "fleets:\n  cpus: 1\n", { place: "config.yaml:1:1", suggestion: "fleet" }],
    ["a mistyped variable", { MAYFLY_MODLE: "x" }, undefined, { place: "MAYFLY_MODLE", suggestion: "MAYFLY_MODEL" }],
    [
      "an unknown variable",
      { MAYFLY_BANANA_SPLIT: "x" },
      undefined,
      { place: "MAYFLY_BANANA_SPLIT", suggestion: null },
    ],
    [
      "no number",
      { MAYFLY_WARM: "many" },
      undefined,
      { place: "MAYFLY_WARM", message: 'must be a whole number in digits, not "many"' },
    ],
    ["a number in another writing", { MAYFLY_WARM: "0x1" }, undefined, { place: "MAYFLY_WARM" }],
    ["a number with spaces", { MAYFLY_WARM: " 1" }, undefined, { place: "MAYFLY_WARM" }],
    [
      "a number out of range",
      { MAYFLY_MACHINE_CPUS: "0" },
      undefined,
      { place: "MAYFLY_MACHINE_CPUS", message: 'must be a whole number from 1 to 256, not "0"' },
    ],
    ["a port out of range", {}, "listen:\n  webhook:\n    port: 70000\n", { place: "config.yaml:3:11" }],
    ["yes for true", { MAYFLY_ALLOW_EMULATION: "yes" }, undefined, { message: 'must be true or false, not "yes"' }],
    [
      "a text for a section",
      {},
      "fleet: qemu\n",
      { place: "config.yaml:1:8", message: "fleet: must be a section of settings" },
    ],
    ["a variable into such a text", { MAYFLY_WARM: "1" }, "fleet: qemu\n", { place: "config.yaml:1:8" }],
    [
      "a text for a list",
      {},
      "policy:\n  labels: codex\n",
      { place: "config.yaml:2:11", message: 'policy.labels: must be a list, not "codex"' },
    ],
    ["a number in a list", {}, "policy:\n  labels: [a, 3]\n", { place: "config.yaml:2:15" }],
    ["an empty list", { MAYFLY_LABELS: "," }, undefined, { place: "MAYFLY_LABELS" }],
    [
      "another provider",
      { MAYFLY_PROVIDER: "qemo" },
      undefined,
      { place: "MAYFLY_PROVIDER", message: 'must be qemu or ec2, not "qemo"', suggestion: "qemu" },
    ],
    [
      "another strategy",
      { MAYFLY_SAFETY_STRATEGIES: "unsave" },
      undefined,
      { place: "MAYFLY_SAFETY_STRATEGIES", suggestion: "unsafe" },
    ],
    ["an address of another kind", { OPENAI_BASE_URL: "ftp://example.com" }, undefined, { place: "OPENAI_BASE_URL" }],
    [
      "an address with a password",
      { OPENAI_BASE_URL: "https://a:b@example.com" },
      undefined,
      { place: "OPENAI_BASE_URL" },
    ],
    ["YAML that is none", {}, "fleet: [\n", { place: "config.yaml:2:1" }],
    ["a repeated key", {}, "redis_url: a\nredis_url: b\n", { place: "config.yaml:2:1" }],
    [
      "half an App",
      { MAYFLY_GITHUB_APP_ID: "3" },
      undefined,
      { place: "MAYFLY_GITHUB_APP_ID", message: expect.stringContaining("MAYFLY_WEBHOOK_SECRET") as string },
    ],
    [
      "an old secret alone",
      { MAYFLY_WEBHOOK_SECRET_OLD: "o".repeat(16) },
      undefined,
      { place: "MAYFLY_WEBHOOK_SECRET_OLD" },
    ],
    [
      "publications of which a task that names none gets nothing",
      { MAYFLY_PUBLICATIONS: "review, patch" },
      undefined,
      { place: "MAYFLY_PUBLICATIONS", message: expect.stringContaining("must name comment or check") as string },
    ],
    ["a default model beyond the ceiling", { MAYFLY_MODELS: "gpt-4*" }, undefined, { place: "MAYFLY_MODELS" }],
    ["more warm machines than machines", { MAYFLY_WARM: "9" }, undefined, { place: "MAYFLY_WARM" }],
  ])("refuses %s", (_, environment, text, problem) => {
    expect(problems(environment, text)[0]).toMatchObject(problem);
  });

  it("names every problem at once", () => {
    expect(problems({ MAYFLY_WARM: "x", MAYFLY_MODLE: "y" }, "fleet:\n  cpus: two\nfoo: 1\n")).toHaveLength(4);
  });

  it("shows no secret, neither in problems nor in the settings", () => {
    const short = "hunter2";
    expect(JSON.stringify(problems({ MAYFLY_WEBHOOK_SECRET: short, MAYFLY_REDIS_URL: `x:${short}` }))).not.toContain(
      short,
    );
    expect(JSON.stringify(problems({}, `github:\n  webhook_secret: ${short}\nredis_url: ${short}\n`))).not.toContain(
      short,
    );
    const whole = config({ ...app, OPENAI_API_KEY: short, MAYFLY_REDIS_URL: `redis://:${short}@127.0.0.1` });
    expect(JSON.stringify(whole)).not.toContain(short);
    expect(whole.model.issuer).toMatchObject({ kind: "static" });
  });

  it("never throws, whatever it is given", () => {
    const name = fc.constantFrom(...configTable.map((row) => row.environment), "MAYFLY_X");
    const key = fc.constantFrom(...Object.keys(ConfigSchema.shape), "x");
    const lines = fc.array(
      fc.tuple(key, fc.oneof(fc.json(), fc.string())).map(([k, v]) => `${k}: ${v}`),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(
        fc.dictionary(name, fc.string()),
        fc.oneof(
          fc.string(),
          lines.map((list) => list.join("\n")),
        ),
        (environment, text) => {
          const result = parse(environment, text);
          expect(result.ok || result.problems.every(({ place, message }) => place !== "" && message !== "")).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("configTable", () => {
  it("names every setting once in the file and once in the environment", () => {
    expect(new Set(configTable.map((row) => row.key)).size).toBe(configTable.length);
    expect(new Set(configTable.map((row) => row.environment)).size).toBe(configTable.length);
    expect(configTable.every((row) => /^(MAYFLY|OPENAI)_[A-Z0-9_]+$/.test(row.environment))).toBe(true);
  });

  it.each(configTable)("can set $key from the environment", (row) => {
    const result = parse({ [row.environment]: row.kind === "boolean" ? "maybe" : "\u0000" });
    // A NUL fits no setting but free text: whatever happens, it is this variable that is named.
    expect(result.ok || result.problems.some(({ place }) => place === row.environment)).toBe(true);
  });

  it("knows which settings are secret", () => {
    expect(configTable.filter((row) => row.isSecret).map((row) => row.key)).toEqual([
      "redis_url",
      "github.webhook_secret",
      "github.webhook_secret_old",
      "model.key",
      "model.admin_key",
    ]);
  });
});

describe("configDocs", () => {
  it("has a row for every setting, with its default and its meaning", () => {
    const rows = configDocs().split("\n");
    for (const { key, environment, description } of configTable) {
      const row = rows.find((line) => line.startsWith(`| \`${key}\` | \`${environment}\` | `));
      expect(row).toContain(description);
      expect(row?.split(/(?<!\\)\|/)).toHaveLength(6);
      expect(row).not.toMatch(/\| +\|/);
    }
  });
});
