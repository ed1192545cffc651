/** App JWTs and installation tokens: who may call what. */
import { randomBytes, verify } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { fieldIn, GitHubRefusal, notFound } from "./http.ts";
import type { Installation, Level, Permissions, Repository, TokenRecord, World } from "./world.ts";

/** Limits of https://docs.github.com/apps: a JWT lives ten minutes at most, and clocks may differ by one. */
const JWT_LIFETIME_S_MAX = 600;
const CLOCK_SKEW_S_MAX = 60;
const TOKEN_LIFETIME_MS = 3_600_000;
const TOKEN_REPOSITORIES_MAX = 500;
/** With the header and payload this comes to the 520 characters of GitHub's present form. */
const TOKEN_SECRET_BYTES = 256;
const LEVELS: readonly Level[] = ["read", "write", "admin"];

/** Throws 401 unless the request carries a JWT that the App's key signed just now. */
export function requireApp(world: World, headers: IncomingHttpHeaders): void {
  const match = /^bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/i.exec(headers.authorization ?? "");
  if (match === null) {
    throw new GitHubRefusal(401, "A JSON web token could not be decoded");
  }
  const [, header = "", payload = "", signature = ""] = match;
  const claims = decode(payload);
  const signed = verify(
    "RSA-SHA256",
    Buffer.from(`${header}.${payload}`),
    world.app.publicKey,
    Buffer.from(signature, "base64url"),
  );
  if (fieldIn(decode(header), "alg") !== "RS256" || !signed) {
    throw new GitHubRefusal(401, "A JSON web token could not be decoded");
  }
  const nowS = Math.floor(world.now() / 1000);
  const { iss, iat, exp } = claims as { iss?: unknown; iat?: unknown; exp?: unknown };
  if (iss !== world.app.id && iss !== String(world.app.id) && iss !== world.app.clientId) {
    throw new GitHubRefusal(401, "Integration not found");
  }
  if (!isInteger(exp)) {
    throw new GitHubRefusal(
      401,
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
    );
  }
  if (exp <= nowS) {
    throw new GitHubRefusal(401, "'Expiration time' claim ('exp') is expired");
  }
  if (exp > nowS + JWT_LIFETIME_S_MAX) {
    throw new GitHubRefusal(401, "'Expiration time' claim ('exp') is too far in the future");
  }
  if (!isInteger(iat) || iat > nowS + CLOCK_SKEW_S_MAX) {
    throw new GitHubRefusal(
      401,
      "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
    );
  }
}

/** Makes a token; refuses what the installation was not granted. */
export function mintToken(world: World, installation: Installation, body: unknown): TokenRecord {
  refuseSuspended(installation);
  const granted = installation.permissions;
  const asked = (fieldIn(body, "permissions") ?? granted) as Permissions;
  for (const [name, level] of Object.entries(asked)) {
    if (rank(granted[name]) < rank(level)) {
      throw new GitHubRefusal(422, "The permissions requested are not granted to this installation.");
    }
  }
  const repositoryIds = repositoryIdsIn(installation, body);
  const now = world.now();
  const payload = Buffer.from(
    JSON.stringify({ iss: "github", sub: installation.id, iat: Math.floor(now / 1000), jti: world.nextId() }),
  );
  const header = Buffer.from('{"alg":"RS256","typ":"JWT"}');
  const secret = randomBytes(TOKEN_SECRET_BYTES);
  const token = `ghs_${world.app.id}_${[header, payload, secret].map((part) => part.toString("base64url")).join(".")}`;
  const record: TokenRecord = {
    token,
    installationId: installation.id,
    repositoryIds,
    permissions: { metadata: "read", ...asked },
    mintedAt: now,
    expiresAt: now + TOKEN_LIFETIME_MS,
    uses: [],
  };
  world.tokens.set(token, record);
  return record;
}

/** The live token a request carries, as `Bearer`, `token`, or the password of `x-access-token`; throws 401. */
export function requireToken(world: World, headers: IncomingHttpHeaders): TokenRecord {
  const text = tokenIn(headers);
  if (text === undefined) {
    throw new GitHubRefusal(401, "Requires authentication");
  }
  const token = world.tokens.get(text);
  const dead = token === undefined || token.revokedAt !== undefined || token.expiresAt <= world.now();
  const installation = dead ? undefined : world.installations.get(token.installationId);
  if (dead || installation === undefined) {
    throw new GitHubRefusal(401, "Bad credentials");
  }
  refuseSuspended(installation);
  return token;
}

/** Whether the token reaches the repository at all. */
export function covers(world: World, token: TokenRecord, repository: Repository): boolean {
  const installed = world.installations.get(token.installationId)?.repositories.has(repository) === true;
  return installed && (token.repositoryIds === undefined || token.repositoryIds.includes(repository.id));
}

/** Throws 404 for a repository out of reach and 403 when none of the needs (`name:level`) is met. */
export function requirePermission(
  world: World,
  token: TokenRecord,
  repository: Repository | undefined,
  needs: readonly string[],
): void {
  if (repository !== undefined && !covers(world, token, repository)) {
    throw notFound();
  }
  if (needs.length === 0 || needs.some((need) => holds(token, need))) {
    return;
  }
  throw new GitHubRefusal(403, "Resource not accessible by integration", {
    headers: { "x-accepted-github-permissions": needs.map((need) => need.replace(":", "=")).join("; ") },
  });
}

/** Whether the token has a permission, written `name:level`. */
export function holds(token: TokenRecord, need: string): boolean {
  const [name = "", level = ""] = need.split(":");
  return rank(token.permissions[name]) >= rank(level);
}

function refuseSuspended({ suspended }: Installation): void {
  if (suspended !== null) {
    throw new GitHubRefusal(403, "This installation has been suspended");
  }
}

function repositoryIdsIn(installation: Installation, body: unknown): number[] | undefined {
  const ids = fieldIn(body, "repository_ids") as number[] | undefined;
  const names = fieldIn(body, "repositories") as string[] | undefined;
  if (ids === undefined && names === undefined) {
    return undefined;
  }
  const found = [...installation.repositories].filter(
    (repository) => ids?.includes(repository.id) === true || names?.includes(repository.name) === true,
  );
  const askedCount = new Set(ids).size + new Set(names).size;
  const wrong = askedCount === 0 || askedCount > TOKEN_REPOSITORIES_MAX || found.length !== askedCount;
  if (wrong) {
    throw new GitHubRefusal(
      422,
      "There is at least one repository that does not exist or is not accessible to the parent installation.",
    );
  }
  return found.map((repository) => repository.id);
}

function tokenIn(headers: IncomingHttpHeaders): string | undefined {
  const [scheme = "", value = ""] = (headers.authorization ?? "").split(" ", 2);
  if (/^(?:bearer|token)$/i.test(scheme)) {
    return value;
  }
  if (!/^basic$/i.test(scheme)) {
    return undefined;
  }
  const [user, password] = Buffer.from(value, "base64").toString().split(":", 2);
  return user === "x-access-token" ? password : undefined;
}

function decode(part: string): object {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

function isInteger(value: unknown): value is number {
  return Number.isInteger(value);
}

function rank(level: string | undefined): number {
  return LEVELS.findIndex((known) => known === level);
}
