import { type AppError, isAppError, type Repository } from "@mayfly/core";
import { Octokit } from "@octokit/core";
import { retry } from "@octokit/plugin-retry";
import { throttling } from "@octokit/plugin-throttling";
import type { Logger } from "pino";
import { hideInLog } from "../host/log.ts";
import type { AppAnswers, AppRequests, AppRoute } from "../signer/app-requests.ts";
import { namingFaults, statusOf } from "../signer/github-faults.ts";
import { octokitOptions } from "../signer/octokit-options.ts";
import { DEFAULTS_PURPOSE, type Purpose } from "../signer/purposes.ts";
import type { MintRequest, Signer } from "../signer/signer.ts";

export { askedPauseMs, statusOf } from "../signer/github-faults.ts";

/** How often a request that GitHub limits is sent again; then the step is taken again later. */
const LIMITED_TRIES_MAX = 2;

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

export type GitHubClient = Pick<Octokit, "request" | "graphql">;

/** What may be asked with the App's own right: the signer's closed list. */
interface AppClient {
  request<Route extends AppRoute>(route: Route, parameters: AppRequests[Route]): Promise<AppAnswers[Route]>;
}

/** GitHub as the App sees it. Everything throws GITHUB_UNAVAILABLE or GITHUB_REFUSED, and what `Signer` throws. */
export interface GitHubApp {
  /** A client with the App's own right. */
  asApp<T>(use: (client: AppClient) => Promise<T>): Promise<T>;
  /**
   * Has a token minted for one purpose and one repository, lends a client with it, and has it revoked whatever happens.
   * The purpose `defaults` is for the repository `.github` of the place's owner instead of the place's own.
   */
  withClient<T>(purpose: Purpose, place: Place, use: (client: GitHubClient) => Promise<T>): Promise<T>;
  /** The same for a program that needs the token itself: git. */
  withToken<T>(purpose: Purpose, place: Place, use: (token: string) => Promise<T>): Promise<T>;
  /** The App's id and its bot's login, asked once. */
  identity(): Promise<{ id: number; slug: string }>;
  /** Has this called for each request from now on that made or changed something. One listener: the last. */
  onWrite(listener: (place: Place) => void): void;
}

/** The App's private key is the signer's: here are only tokens of minutes, one repository each. */
export function createGitHubApp(deps: { url: string; signer: Signer; log: Logger }): GitHubApp {
  const { signer, log } = deps;
  const ContentClient = Octokit.plugin(retry, throttling).defaults(octokitOptions(deps));
  const appClient: AppClient = { request: (route, parameters) => signer.asApp(route, parameters) };
  let identity: Promise<{ id: number; slug: string }> | null = null;
  let wrote: (place: Place) => void = () => undefined;

  async function withToken<T>(purpose: Purpose, place: Place, use: (token: string) => Promise<T>): Promise<T> {
    const { installation, repository } = place;
    const { token } = await signer.mint(mintRequestOf(purpose, { installation, repository }));
    const unhide = hideInLog(log, token);
    try {
      return await namingFaults(() => use(token));
    } finally {
      // One that could not be given back is good for something still, and stays hidden.
      await signer.revoke(token).then(unhide, (err: unknown) => {
        log.warn({ purpose, err }, "a token could not be given back; the signer revokes it by itself");
      });
    }
  }

  /** Installations are limited apart: a busy one does not hold back another. */
  function contentClient(token: string, place: Place): GitHubClient {
    const again = (_after: number, _options: unknown, _octokit: unknown, tries: number) => tries < LIMITED_TRIES_MAX;
    const throttle = { id: String(place.installation), onRateLimit: again, onSecondaryRateLimit: again };
    const client = new ContentClient({ auth: token, throttle });
    client.hook.after("request", (_answer, { method }) => (method === "GET" ? undefined : wrote(place)));
    return client;
  }

  return {
    asApp: (use) => use(appClient),
    withToken,
    withClient: (purpose, place, use) => withToken(purpose, place, (token) => use(contentClient(token, place))),
    identity() {
      identity ??= signer.asApp("GET /app", {}).then(({ data }) => data);
      identity.catch(() => (identity = null));
      return identity;
    },
    onWrite(listener) {
      wrote = listener;
    },
  };
}

/** What the signer is asked for; the organisation's own tasks are the one purpose with an owner. */
export function mintRequestOf(purpose: Purpose, { installation, repository }: Place): MintRequest {
  const request = { purpose, installation, repository: repository.id };
  return purpose === DEFAULTS_PURPOSE ? { ...request, owner: repository.owner } : request;
}

/** True when GitHub will not change its mind about this one. A key that it does not take is for the operator to mend. */
export function isFinal(error: unknown): error is AppError {
  return isAppError(error, "GITHUB_REFUSED") && statusOf(error.cause) !== 401;
}
