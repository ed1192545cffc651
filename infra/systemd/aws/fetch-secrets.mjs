/**
 * Fetches Mayfly's secrets from AWS Secrets Manager, with Debian's awscli and the host's own role, and writes them where
 * mayfly.service reads them: `environment` and `app.pem` in the unit's runtime folder. Prints no secret, not even in an
 * error. Its argument names the file that the deployment wrote: which secret has what.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

/** Secrets Manager itself allows 64 KiB. */
const SECRET_BYTES_MAX = 65_536;
const FETCH_MS = 20_000;

/**
 * The two files' texts.
 *
 * @param {{ cache: { host: string, port: number } }} settings
 * @param {{ token: string, appKey: string | null, webhookSecret: string, modelKey: string | null }} secrets Without
 * the App's key where it is in KMS; with neither key where the host only takes webhooks.
 * @returns {{ environment: string, appKey: string | null }} Throws for a secret that would not stay on its own line.
 */
export function filesOf({ cache }, { token, appKey, webhookSecret, modelKey }) {
  if (
    appKey !== null &&
    !/^-----BEGIN [A-Z ]*PRIVATE KEY-----\n[\s\S]+-----END [A-Z ]*PRIVATE KEY-----\n?$/.test(appKey)
  ) {
    throw new Error("the App's key is not PEM");
  }
  const lines = {
    MAYFLY_REDIS_URL: `rediss://:${encodeURIComponent(token)}@${cache.host}:${cache.port}`,
    MAYFLY_WEBHOOK_SECRET: webhookSecret,
    ...(modelKey === null ? {} : { OPENAI_API_KEY: modelKey }),
  };
  return { environment: Object.entries(lines).map(line).join(""), appKey };
}

/** As systemd reads it: in single quotes everything but the quote itself stands for itself. */
function line([name, value]) {
  if (!/^[\x20-\x26\x28-\x7e]+$/.test(value)) {
    throw new Error(`${name} must be one line of printable ASCII without single quotes`);
  }
  return `${name}='${value}'\n`;
}

function fetchSecret(region, id) {
  const { status, stdout } = spawnSync(
    "aws",
    ["secretsmanager", "get-secret-value", "--region", region, "--secret-id", id, "--query", "SecretString"],
    { encoding: "utf8", timeout: FETCH_MS, maxBuffer: 4 * SECRET_BYTES_MAX, stdio: ["ignore", "pipe", "inherit"] },
  );
  if (status !== 0) {
    throw new Error(`${id} could not be fetched: has it a value, and may this host read it?`);
  }
  return JSON.parse(stdout);
}

function main([file]) {
  const folder = process.env.RUNTIME_DIRECTORY;
  if (file === undefined || folder === undefined) {
    throw new Error("usage, as a unit with a runtime folder: fetch-secrets.mjs /etc/mayfly/aws.json");
  }
  const settings = JSON.parse(readFileSync(file, "utf8"));
  const fetched = (id) => (id === null ? null : fetchSecret(settings.region, id));
  const { environment, appKey } = filesOf(settings, {
    token: fetched(settings.cache.token),
    appKey: fetched(settings.app_key),
    webhookSecret: fetched(settings.webhook_secret),
    modelKey: fetched(settings.model_key),
  });
  if (appKey !== null) {
    writeFileSync(`${folder}/app.pem`, appKey, { mode: 0o600 });
  }
  writeFileSync(`${folder}/environment`, environment, { mode: 0o600 });
}

if (import.meta.main) {
  main(process.argv.slice(2));
}
