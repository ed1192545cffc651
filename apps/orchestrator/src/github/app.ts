import { AppError, isAppError, type Repository } from "@mayfly/core";
import { createAppAuth } from "@octokit/auth-app";
import { Octokit } from "@octokit/core";
import { retry } from "@octokit/plugin-retry";
import { throttling } from "@octokit/plugin-throttling";
import type { Logger } from "pino";
import { type Purpose, purposes } from "./purposes.ts";

/** One request to GitHub, all its retries aside. */
const REQUEST_MS = 20_000;
/** How often a request that GitHub limits is sent again; then the step is taken again later. */
const LIMITED_TRIES_MAX = 2;
/** Statuses that the same request would meet again; 429 among them, for a limit says itself how long to wait. */
const NOT_RETRIED = [400, 401, 403, 404, 410, 422, 429, 451];

/**
 * For requests that make something: not sent again by the client, since one without an answer may have had its effect.
 * The step that asked is taken again, and looks for what there is before it makes another.
 */
export const MAKE_ONCE = { retries: 0 } as const;

/** One installation's repository. */
export interface Place {
  readonly installation: number;
  readonly repository: Repository;
}

export type GitHubClient = Pick<Octokit, "request">;

/** GitHub as the App sees it. Everything throws GITHUB_UNAVAILABLE or GITHUB_REFUSED. */
export interface GitHubApp {
  /** A client with the App's own right (JWT): deliveries, installations. */
  asApp<T>(use: (client: GitHubClient) => Promise<T>): Promise<T>;
  /**
   * Mints a token for one purpose and one repository, lends a client with it, and revokes it whatever happens.
   */
  withClient<T>(purpose: Purpose, place: Place, use: (client: GitHubClient) => Promise<T>): Promise<T>;
  /** The same for a program that needs the token itself: git. */
  withToken<T>(purpose: Purpose, place: Place, use: (token: string) => Promise<T>): Promise<T>;
  /** The App's id and its bot's login, asked once. */
  identity(): Promise<{ id: number; slug: string }>;
}

export function createGitHubApp(deps: {
  url: string;
  appId: string;
  privateKey: () => string;
  log: Logger;
}): GitHubApp {
  const { url, appId, log } = deps;
  const common = {
    baseUrl: url,
    userAgent: "mayfly",
    retry: { doNotRetry: NOT_RETRIED },
    log: {
      debug: () => undefined,
      info: () => undefined,
      warn: (text: string) => log.debug({ text }, "octokit"),
      error: (text: string) => log.debug({ text }, "octokit"),
    },
    request: {
      fetch: (input: string | URL, init?: RequestInit) =>
        fetch(input, { ...init, redirect: "error", signal: AbortSignal.timeout(REQUEST_MS) }),
    },
  };
  // Tokens come and go beside the limits for content: one second between writes is GitHub's advice for those alone.
  const TokenClient = Octokit.plugin(retry).defaults(common);
  const ContentClient = Octokit.plugin(retry, throttling).defaults(common);
  const app = new TokenClient({ authStrategy: createAppAuth, auth: { appId, privateKey: deps.privateKey() } });
  let identity: Promise<{ id: number; slug: string }> | null = null;

  async function withToken<T>(purpose: Purpose, place: Place, use: (token: string) => Promise<T>): Promise<T> {
    const { data } = await naming(() =>
      app.request("POST /app/installations/{installation_id}/access_tokens", {
        installation_id: place.installation,
        repository_ids: [place.repository.id],
        permissions: purposes[purpose],
      }),
    );
    try {
      return await naming(() => use(data.token));
    } finally {
      await new TokenClient({ auth: data.token }).request("DELETE /installation/token").catch((err: unknown) => {
        log.warn({ purpose, err: String(err) }, "a token could not be revoked; it expires within the hour");
      });
    }
  }

  /** Installations are limited apart: a busy one does not hold back another. */
  function contentClient(token: string, { installation }: Place): GitHubClient {
    const again = (_after: number, _options: unknown, _octokit: unknown, tries: number) => tries < LIMITED_TRIES_MAX;
    const throttle = { id: String(installation), onRateLimit: again, onSecondaryRateLimit: again };
    return new ContentClient({ auth: token, throttle });
  }

  return {
    asApp: (use) => naming(() => use(app)),
    withToken,
    withClient: (purpose, place, use) => withToken(purpose, place, (token) => use(contentClient(token, place))),
    identity() {
      identity ??= naming(() => app.request("GET /app")).then(({ data }) => ({
        id: data?.id ?? 0,
        slug: data?.slug ?? "",
      }));
      identity.catch(() => (identity = null));
      return identity;
    },
  };
}

/** The HTTP status GitHub answered with, or null if the fault was another. */
export function statusOf(error: unknown): number | null {
  return typeof error === "object" && error !== null && "status" in error && typeof error.status === "number"
    ? error.status
    : null;
}

/** True when GitHub will not change its mind about this one. A key that it does not take is for the operator to mend. */
export function isFinal(error: unknown): error is AppError {
  return isAppError(error, "GITHUB_REFUSED") && statusOf(error.cause) !== 401;
}

/** Turns what octokit throws into our own faults. 403 with Retry-After is a limit and passes; other 4xx do not. */
async function naming<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (isAppError(error)) {
      throw error;
    }
    const status = statusOf(error);
    const said = error instanceof Error ? error.message : String(error);
    if (status === null || status >= 500 || status === 429 || isLimited(error)) {
      throw new AppError("GITHUB_UNAVAILABLE", `GitHub did not answer as it should: ${said}`, { cause: error });
    }
    throw new AppError("GITHUB_REFUSED", `GitHub refused with ${status}: ${said}`, { cause: error });
  }
}

function isLimited(error: unknown): boolean {
  const headers = (error as { response?: { headers?: Record<string, unknown> } }).response?.headers;
  return headers?.["retry-after"] !== undefined || headers?.["x-ratelimit-remaining"] === "0";
}
