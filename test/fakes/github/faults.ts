/** Faults on demand: answers that GitHub gives on its bad days. */
import { GitHubRefusal } from "./http.ts";
import type { Context, Reply } from "./http.ts";

/** What the next matching requests meet. Without `status`, `reset` or `lost` the request is only delayed. */
export interface FaultRequest {
  readonly method?: string;
  /** Matched against the path without query and escapes. */
  readonly pathPattern: RegExp;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** The connection is cut without an answer, before the request has an effect. */
  readonly reset?: boolean;
  /** The request takes effect, then the connection is cut: the caller cannot know. */
  readonly lost?: boolean;
  readonly delayMs?: number;
  /** How many requests; one by default. */
  readonly times?: number;
}

export interface Fault extends FaultRequest {
  left: number;
}

export type Struck =
  | { readonly kind: "none" }
  | { readonly kind: "reset" }
  | { readonly kind: "lost" }
  | { readonly kind: "answer"; readonly reply: Reply };

/** Uses up the first fault that matches, waiting out its delay. */
export async function strike(faults: Fault[], request: Pick<Context, "method"> & { path: string }): Promise<Struck> {
  const fault = faults.find((candidate) => candidate.left > 0 && matches(candidate, request));
  if (fault === undefined) {
    return { kind: "none" };
  }
  fault.left -= 1;
  if (fault.delayMs !== undefined) {
    await delay(fault.delayMs);
  }
  if (fault.reset === true) {
    return { kind: "reset" };
  }
  if (fault.lost === true) {
    return { kind: "lost" };
  }
  if (fault.status === undefined) {
    return { kind: "none" };
  }
  return { kind: "answer", reply: answerOf(fault, fault.status) };
}

function matches(fault: Fault, request: { method: string; path: string }): boolean {
  return (fault.method === undefined || fault.method === request.method) && fault.pathPattern.test(request.path);
}

function answerOf(fault: Fault, status: number): Reply {
  const isPatient = Object.keys(fault.headers ?? {}).some((name) => name.toLowerCase() === "retry-after");
  const secondaryLimit = (status === 403 || status === 429) && isPatient;
  const message = secondaryLimit
    ? "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    : "Server Error";
  const reply = new GitHubRefusal(status, message, { headers: { ...fault.headers } }).toReply();
  return fault.body === undefined ? reply : { ...reply, body: fault.body };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
