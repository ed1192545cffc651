import type { Logger } from "pino";

/** One request to GitHub, all its retries aside. */
const REQUEST_MS = 20_000;
/** Statuses that the same request would meet again; 429 among them, for a limit says itself how long to wait. */
const NOT_RETRIED = [400, 401, 403, 404, 410, 422, 429, 451];

/** GitHub leads to a renamed repository in one step. */
const REDIRECTS_MAX = 2;
/** How it leads there: what only reads may be asked by 301 and 302, and the rest keeps its method with 307 and 308. */
const FOR_READING = [301, 302, 307, 308];
const FOR_ALL = [307, 308];

/** How every client of ours speaks to GitHub: bounded in time, quiet, led on by GitHub to a renamed repository alone. */
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
        fetchRenamed(url, input, { ...init, signal: AbortSignal.timeout(REQUEST_MS) }),
    },
  };
}

/**
 * Follows where a renamed repository is now, which is GitHub's own path by the repository's id (REST: follow redirects).
 * Any other redirect is a fault: the token goes nowhere else.
 */
async function fetchRenamed(base: string, input: string | URL, init: RequestInit): Promise<Response> {
  const isReading = init.method === undefined || init.method === "GET" || init.method === "HEAD";
  let at = String(input);
  for (let steps = 0; ; steps++) {
    const response = await fetch(at, { ...init, redirect: "manual" });
    const location = response.headers.get("location");
    if (!FOR_READING.includes(response.status)) {
      return response;
    }
    await response.body?.cancel();
    const isKept = isReading || FOR_ALL.includes(response.status);
    if (!isKept || steps === REDIRECTS_MAX || location === null || !isRepository(base, location)) {
      throw new TypeError("unexpected redirect");
    }
    at = location;
  }
}

function isRepository(base: string, location: string): boolean {
  const to = URL.canParse(location) ? new URL(location) : null;
  const from = new URL(`${base.replace(/\/$/, "")}/repositories/`);
  return (
    to !== null &&
    to.origin === from.origin &&
    to.username === "" &&
    to.password === "" &&
    /^[1-9]\d{0,15}(?:\/|$)/.test(to.pathname.startsWith(from.pathname) ? to.pathname.slice(from.pathname.length) : "")
  );
}
