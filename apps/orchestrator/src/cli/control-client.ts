import { isAppError, AppError } from "@mayfly/core";
import { createSocketClient } from "../host/socket-client.ts";

/** An answer of the running service takes moments. */
const ANSWER_MS = 10_000;

/** Where the service on this host takes an operator's questions. */
export function controlSocket(stateDir: string): string {
  return `${stateDir}/control.sock`;
}

/**
 * Asks the running service. Throws SERVICE_NOT_RUNNING, or the fault the service answered with.
 *
 * @param more What is sent along; how long the service may take where it has to ask others.
 */
export async function askService<T>(
  stateDir: string,
  method: "GET" | "POST",
  path: string,
  more: { readonly body?: unknown; readonly othersMs?: number } = {},
): Promise<T> {
  const client = createSocketClient({
    socket: controlSocket(stateDir),
    answerMs: ANSWER_MS + (more.othersMs ?? 0),
    retryMs: 0,
    who: "the service",
  });
  try {
    return await client.ask<T>(method, path, more.body);
  } catch (cause) {
    if (isAppError(cause, "SERVICE_NOT_RUNNING")) {
      throw new AppError("SERVICE_NOT_RUNNING", `no service runs on the state folder ${stateDir}`, { cause });
    }
    throw cause;
  }
}
