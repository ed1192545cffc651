import { readFile, stat } from "node:fs/promises";
import { type Config, type GitHubAppConfig, isAppError, limits } from "@mayfly/core";
import { z } from "zod";
import { systemClock } from "../../host/clock.ts";
import { createLog } from "../../host/log.ts";
import { createAppClient } from "../../signer/app-client.ts";
import { type AppKey, createPemAppKey } from "../../signer/app-key.ts";
import type { AppRoute } from "../../signer/app-requests.ts";
import { namingFaults } from "../../signer/github-faults.ts";
import { requireApp, requireWebhookSecret } from "../serve.ts";
import { deliveriesFinding, Deliveries } from "./app-deliveries.ts";
import { type AppGrants, eventsFinding, permissionsFinding } from "./app-needs.ts";
import { type Checklist, fail, ok, warn, wordsOf } from "./checklist.ts";
import { skewFinding } from "./clock-skew.ts";

const CLOCK = "github clock";
const LATER = ["github permissions", "github events", "github deliveries"];
/** GitHub's own pages are of no use here: a hundred deliveries are more than a person looks through. */
const DELIVERIES_MAX = 100;
const GUIDE = "docs/guides/github-app.md says where each comes from";
const KEY_FIX =
  "download a new private key from the App's settings at GitHub, and name its file in github.private_key_file";
const KMS_FIX =
  "see that this host's role may use the key for kms:Sign and kms:GetPublicKey, and that github.kms_key names it";
const REACH_FIX =
  "see that github.url (MAYFLY_GITHUB_URL) is GitHub's API and that this host reaches it; an authority of your own goes into NODE_EXTRA_CA_CERTS";
/** Everybody but the owner. */
const OTHERS = 0o077;

/** What of GitHub's answer to `GET /app` is looked at. */
const App = z.object({
  slug: z.string().min(1).max(100),
  owner: z.object({ login: z.string().max(100), type: z.string().max(20).optional() }).nullish(),
  permissions: z.record(z.string().max(100), z.string().max(20)),
  events: z.array(z.string().max(100)).max(1_000),
});

/**
 * The App at GitHub: that it is set, that GitHub knows it, what it was granted and what became of its webhooks. Two of the
 * signer's App requests, both of which only read.
 */
export async function lookAtGitHub(list: Checklist, config: Config): Promise<void> {
  const { roles, github } = config;
  github.webhookSecrets.forEach((secret) => list.hide(secret.reveal()));
  if (!roles.includes("worker") && !roles.includes("intake")) {
    list.skip(["github settings", "github app", CLOCK, ...LATER], "this host has neither the role worker nor intake");
    return;
  }
  const set = await list.check("github settings", GUIDE, () => settingsFinding(config));
  if (!roles.includes("worker")) {
    list.skip(["github app", CLOCK, ...LATER], "this host has not the role worker, so it has no key of the App");
    return;
  }
  if (set.status === "fail" || github.app === null) {
    list.skip(["github app", CLOCK, ...LATER], "no App is set");
    return;
  }
  await lookAtApp(list, config, github.app);
}

function settingsFinding(config: Config) {
  try {
    if (config.roles.includes("worker")) {
      requireApp(config);
    }
    requireWebhookSecret(config);
  } catch (error) {
    return fail(wordsOf(error), GUIDE);
  }
  const { app, webhookSecrets } = config.github;
  return webhookSecrets.length === 2
    ? warn(
        "two webhook secrets",
        "remove github.webhook_secret_old (MAYFLY_WEBHOOK_SECRET_OLD) once GitHub signs with the new one",
      )
    : ok(app === null ? "a webhook secret is set" : `the App ${app.id}`);
}

async function lookAtApp(list: Checklist, config: Config, app: GitHubAppConfig): Promise<void> {
  const key = await lookAtKey(list, app);
  if (key === null) {
    list.skip(["github app", CLOCK, ...LATER], "the App's private key cannot be used");
    return;
  }
  const ask = createAsk(config, app, key);
  let grants = null as AppGrants | null;
  let skewMs = null as number | null;
  const seen = (headers: Record<string, unknown>): void => {
    const there = typeof headers["date"] === "string" ? Date.parse(headers["date"]) : Number.NaN;
    // It names the second that has begun.
    skewMs = Number.isNaN(there) ? null : Date.now() - (there + 500);
  };
  await list.check("github app", REACH_FIX, async () => {
    try {
      const { data, headers } = await ask("GET /app", {});
      seen(headers);
      const { slug, owner, permissions, events } = App.parse(data);
      const { webUrl } = config.github;
      const home = owner?.type === "Organization" ? `${webUrl}/organizations/${owner.login}` : webUrl;
      grants = { permissions, events, page: `${home}/settings/apps/${slug}` };
      return ok(`GitHub knows the App as ${slug}`);
    } catch (error) {
      seen(headersOf(error));
      if (isAppError(error, "GITHUB_REFUSED")) {
        return fail(
          wordsOf(error),
          `see that github.app_id is ${app.id} at GitHub too and that the key is one of it`,
          KEY_FIX,
        );
      }
      throw error;
    }
  });
  const skew = skewMs;
  if (skew === null) {
    list.skip([CLOCK], "GitHub did not answer with its time");
  } else {
    await list.check(CLOCK, REACH_FIX, () => skewFinding(skew, "GitHub", { max: limits.clockSkewMsMax }));
  }
  const granted = grants;
  if (granted === null) {
    list.skip(LATER, "GitHub did not show the App");
    return;
  }
  await list.check("github permissions", REACH_FIX, () => permissionsFinding(granted, config.policy.publications));
  await list.check("github events", REACH_FIX, () => eventsFinding(granted));
  await list.check("github deliveries", REACH_FIX, async () => {
    const { data } = await ask("GET /app/hook/deliveries", { per_page: DELIVERIES_MAX });
    return deliveriesFinding(Deliveries.parse(data), systemClock.now(), granted.page);
  });
}

/** Null where there is none that signs. */
async function lookAtKey(list: Checklist, { key }: GitHubAppConfig): Promise<AppKey | null> {
  let opened = null as AppKey | null;
  if (key.kind === "kms") {
    await list.check("github private key", KMS_FIX, async () => {
      const { createKmsClient, openKmsAppKey } = await import("../../signer/kms-app-key.ts");
      opened = await openKmsAppKey({ kms: createKmsClient(key), arn: key.arn });
      return ok(`KMS signs with ${key.arn}`);
    });
    return opened;
  }
  await list.check("github private key", KEY_FIX, async () => {
    const { path } = key;
    const [pem, { mode, uid }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    list.hide(pem);
    opened = createPemAppKey(pem);
    return (mode & OTHERS) === 0
      ? ok(`${path} is a key that signs`)
      : warn(
          `${path} can be read by others than its owner (mode ${(mode & 0o777).toString(8)}, uid ${uid})`,
          `chmod 600 ${path}`,
        );
  });
  return opened;
}

/** Asks once: the next look is a person's. */
function createAsk({ github }: Config, { id: appId }: GitHubAppConfig, key: AppKey) {
  const { log } = createLog({ level: "silent" });
  const client = createAppClient({ url: github.url, appId, key, clock: systemClock, log });
  return async (route: AppRoute, parameters: Record<string, unknown>) => {
    const request = { ...parameters, request: { retries: 0 } };
    const { data, headers } = await namingFaults(() => client.request(route as string, request));
    return { data: data as unknown, headers: headers as Record<string, unknown> };
  };
}

function headersOf(error: unknown): Record<string, unknown> {
  const cause = error instanceof Error ? error.cause : null;
  return (cause as { response?: { headers?: Record<string, unknown> } } | null)?.response?.headers ?? {};
}
