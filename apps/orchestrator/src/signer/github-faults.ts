import { AppError, type Instant, isAppError } from "@mayfly/core";

/** The HTTP status GitHub answered with, or null if the fault was another. */
export function statusOf(error: unknown): number | null {
  return typeof error === "object" && error !== null && "status" in error && typeof error.status === "number"
    ? error.status
    : null;
}

/** Turns what octokit throws into our own faults. 403 with Retry-After is a limit and passes; other 4xx do not. */
export async function namingFaults<T>(ask: () => Promise<T>): Promise<T> {
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

/**
 * How long GitHub asked to be left alone, ms from now; null if it did not: `retry-after` in seconds, or the end of the
 * hour whose requests are used up (GitHub's docs, "Rate limits for the REST API").
 *
 * @param fault What namingFaults threw.
 */
export function askedPauseMs(fault: unknown, now: Instant): number | null {
  const headers = isAppError(fault, "GITHUB_UNAVAILABLE") ? headersOf(fault.cause) : {};
  const after = wholeNumber(headers["retry-after"]);
  if (after !== null) {
    return after * 1000;
  }
  const reset = headers["x-ratelimit-remaining"] === "0" ? wholeNumber(headers["x-ratelimit-reset"]) : null;
  return reset === null ? null : Math.max(0, reset * 1000 - now);
}

function isLimited(error: unknown): boolean {
  const headers = headersOf(error);
  return headers["retry-after"] !== undefined || headers["x-ratelimit-remaining"] === "0";
}

function headersOf(error: unknown): Record<string, unknown> {
  return (error as { response?: { headers?: Record<string, unknown> } } | undefined)?.response?.headers ?? {};
}

function wholeNumber(value: unknown): number | null {
  return typeof value === "string" && /^\d{1,12}$/.test(value) ? Number(value) : null;
}
