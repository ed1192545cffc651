import { request } from "node:http";
import { AppError, type FaultCode, faults } from "@mayfly/core";

/** An answer of the running service takes moments. */
const ANSWER_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Where the service on this host takes an operator's questions. */
export function controlSocket(stateDir: string): string {
  return `${stateDir}/control.sock`;
}

/** Asks the running service. Throws SERVICE_NOT_RUNNING, or the fault the service answered with. */
export async function askService<T>(stateDir: string, method: "GET" | "POST", path: string): Promise<T> {
  const { status, text } = await send(stateDir, method, path);
  const body: unknown = JSON.parse(text);
  if (status >= 400) {
    const { code, message } = (body as { error?: { code?: string; message?: string } }).error ?? {};
    const known: FaultCode = code !== undefined && code in faults ? (code as FaultCode) : "STORE_UNAVAILABLE";
    throw new AppError(known, message ?? `the service answered ${status}`);
  }
  return body as T;
}

function send(stateDir: string, method: string, path: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: controlSocket(stateDir), method, path, timeout: ANSWER_MS }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > ANSWER_BYTES_MAX) {
          asking.destroy(new AppError("STORE_UNAVAILABLE", "the service's answer is too long"));
        }
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 500, text }));
    });
    asking.on("timeout", () => asking.destroy(new AppError("STORE_UNAVAILABLE", "the service does not answer")));
    asking.on("error", (cause: NodeJS.ErrnoException) => {
      const absent = ["ENOENT", "ENOTDIR", "ECONNREFUSED"].includes(cause.code ?? "");
      reject(
        absent
          ? new AppError("SERVICE_NOT_RUNNING", `no service runs on the state folder ${stateDir}`, { cause })
          : cause,
      );
    });
    asking.end();
  });
}
