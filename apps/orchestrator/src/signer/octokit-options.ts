import type { Logger } from "pino";

/** One request to GitHub, all its retries aside. */
const REQUEST_MS = 20_000;
/** Statuses that the same request would meet again; 429 among them, for a limit says itself how long to wait. */
const NOT_RETRIED = [400, 401, 403, 404, 410, 422, 429, 451];

/** How every client of ours speaks to GitHub: bounded in time, following no redirect, quiet. */
export function octokitOptions({ url, log }: { url: string; log: Logger }) {
  return {
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
}
