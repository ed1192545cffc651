import { setTimeout as after } from "node:timers/promises";
import { EC2Client, type EC2ClientConfig } from "@aws-sdk/client-ec2";
import { AppError } from "@mayfly/core";
import { codeOf, faultOf } from "./ec2-faults.ts";

/** A launch of many machines takes EC2 some seconds; after this long its answer is lost. */
const CALL_MS = 30_000;
/** Reading is tried this often; the wait doubles from the first. */
const READS_MAX = 3;
const READ_PAUSE_MS = 500;
const MESSAGE_CHARS_MAX = 300;

/** Waits so many ms. Given, so that a simulation drives it. */
export type Pause = (ms: number) => Promise<void>;

/** Really waits. */
export const systemPause: Pause = (ms) => after(ms);

/**
 * A client of EC2 that never repeats a call by itself: who calls knows what a repetition would do. Its credentials are
 * the SDK's own search through environment, files and roles unless some are given.
 */
export function createEc2Client(options: {
  region: string;
  /** Null for EC2's public address. */
  endpoint: string | null;
  credentials?: NonNullable<EC2ClientConfig["credentials"]>;
}): EC2Client {
  const { region, endpoint, credentials } = options;
  return new EC2Client({
    region,
    maxAttempts: 1,
    ...(endpoint === null ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  });
}

/** What every call is given: a time by which it is over. */
export function bounded(): { abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(CALL_MS) };
}

/**
 * Makes a call that changes nothing, a few times if need be. Throws PROVIDER_UNAVAILABLE with what EC2 said last.
 *
 * @param what What is read, for the message.
 */
export async function read<Output>(what: string, pause: Pause, send: () => Promise<Output>): Promise<Output> {
  for (let tries = 1; ; tries++) {
    try {
      return await send();
    } catch (error) {
      const fault = faultOf(error);
      if (tries >= READS_MAX || (fault !== "throttled" && fault !== "unknown")) {
        throw new AppError("PROVIDER_UNAVAILABLE", `EC2 does not say its ${what}: ${saidBy(error)}`, { cause: error });
      }
      await pause(READ_PAUSE_MS * 2 ** (tries - 1));
    }
  }
}

/** What an error says, in one line: EC2's code and words, or what to do where there are no credentials to ask with. */
export function saidBy(error: unknown): string {
  if (codeOf(error) === "CredentialsProviderError") {
    return "no AWS credentials: give the host a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  }
  const message = error instanceof Error ? error.message : String(error);
  return inOneLine(`${codeOf(error)}: ${message}`);
}

/** Words of EC2's as they may stand in a line of ours. */
export function inOneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, " ").slice(0, MESSAGE_CHARS_MAX);
}
