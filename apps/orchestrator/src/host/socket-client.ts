import { request } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { AppError, type FaultCode, faults } from "@mayfly/core";

/** No answer between our own processes is longer. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** Between two tries to reach a process that is being started again. */
const RETRY_MS = 100;

export interface AskOptions {
  /** How long one answer may take. */
  readonly answerMs: number;
  /** How long a process that is not there, or breaks off, is asked again. Only for what may be repeated. */
  readonly retryMs: number;
  /** Who is asked, in words. */
  readonly who: string;
}

/** Asks another process of ours. */
export interface Asker {
  /** Throws SERVICE_NOT_RUNNING when nobody is there, or the fault that was answered. */
  ask<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T>;
}

/** A way to another process of ours. */
export type Reach = (options: AskOptions) => Asker;

/** An answer as it came. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** JSON over HTTP over a unix socket: what one process of a service asks another on its host. */
export function createSocketClient(options: AskOptions & { readonly socket: string }): Asker {
  return createAsker({
    ...options,
    where: options.socket,
    send: (method, path, body) => sendOverSocket(options, method, path, body),
  });
}

/** The same for several questions with bounds of their own. */
export function overSocket(socket: string): Reach {
  return (options) => createSocketClient({ ...options, socket });
}

/** Asks by whatever way `send` goes, which throws SERVICE_NOT_RUNNING or a socket's error where nobody is. */
export function createAsker(
  options: AskOptions & {
    /** Where somebody should be, in words. */
    readonly where: string;
    readonly send: (method: "GET" | "POST", path: string, body: unknown) => Promise<Answer>;
  },
): Asker {
  const { who, retryMs, send } = options;
  return {
    async ask<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
      const until = performance.now() + retryMs;
      for (;;) {
        try {
          return parse<T>(await send(method, path, body), who);
        } catch (error) {
          if (!isAbsence(error) || performance.now() >= until) {
            throw isAbsence(error)
              ? new AppError("SERVICE_NOT_RUNNING", `${who} does not answer on ${options.where}`, { cause: error })
              : error;
          }
          await wait(RETRY_MS);
        }
      }
    },
  };
}

/** How a fault is answered between our own processes, so that the asker throws the same one. */
export function faultBody(error: unknown): { status: number; body: object } {
  const fault =
    error instanceof AppError ? error : new AppError("STORE_UNAVAILABLE", "an unexpected fault", { cause: error });
  return { status: fault.status, body: { error: { code: fault.code, message: fault.message, fix: fault.fix } } };
}

/** The other end is not there, went away while it was asked, or has made its socket and not opened it to us yet. */
function isAbsence(error: unknown): boolean {
  if (error instanceof AppError) {
    return error.code === "SERVICE_NOT_RUNNING";
  }
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return ["ENOENT", "ENOTDIR", "EACCES", "ECONNREFUSED", "ECONNRESET", "EPIPE"].includes(code);
}

function parse<T>({ status, text }: Answer, who: string): T {
  const body: unknown = text === "" ? null : JSON.parse(text);
  if (status >= 400) {
    const { code, message } = (body as { error?: { code?: string; message?: string } } | null)?.error ?? {};
    const known: FaultCode = code !== undefined && code in faults ? (code as FaultCode) : "STORE_UNAVAILABLE";
    throw new AppError(known, message ?? `${who} answered ${status}`);
  }
  return body as T;
}

function sendOverSocket(
  options: AskOptions & { readonly socket: string },
  method: string,
  path: string,
  body: unknown,
): Promise<Answer> {
  const { socket, answerMs, who } = options;
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const asking = request({ socketPath: socket, method, path, headers, timeout: answerMs }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > ANSWER_BYTES_MAX) {
          asking.destroy(new AppError("STORE_UNAVAILABLE", `the answer of ${who} is too long`));
        }
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 500, text }));
      answer.on("error", reject);
    });
    asking.on("timeout", () => asking.destroy(new AppError("STORE_UNAVAILABLE", `${who} does not answer`)));
    asking.on("error", reject);
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
