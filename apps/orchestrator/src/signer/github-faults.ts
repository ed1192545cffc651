import { AppError, isAppError } from "@mayfly/core";

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

function isLimited(error: unknown): boolean {
  const headers = (error as { response?: { headers?: Record<string, unknown> } }).response?.headers;
  return headers?.["retry-after"] !== undefined || headers?.["x-ratelimit-remaining"] === "0";
}
