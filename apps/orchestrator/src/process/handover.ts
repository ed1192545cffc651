import { Secret } from "@mayfly/core";
import type { Account } from "../host/account.ts";

/** What every process of ours is told over its standard input before it does anything. */
export interface Handover<Settings> {
  /** Whom it becomes; null when it is who it shall be. */
  readonly account: Account | null;
  readonly settings: Settings;
}

/** More than any settings file with all its secrets. */
const BYTES_MAX = 64 * 1024 * 1024;
const MARK = "$secret";

/** Settings as text, secrets included: for a pipe between two processes of ours and for nothing else. */
export function seal(handover: Handover<unknown>): string {
  return JSON.stringify(handover, function (this: Record<string, unknown>, key, value: unknown) {
    const raw = this[key];
    return raw instanceof Secret ? { [MARK]: raw.reveal() } : value;
  });
}

/** The handover as it was sealed. Secrets are secrets again. */
function unseal<Settings>(text: string): Handover<Settings> {
  return JSON.parse(text, (_key, value: unknown) => {
    const isSealed = typeof value === "object" && value !== null && MARK in value;
    return isSealed ? new Secret(String((value as Record<string, unknown>)[MARK])) : value;
  }) as Handover<Settings>;
}

/** Reads all of standard input. */
export async function readHandover<Settings>(input: AsyncIterable<Buffer>): Promise<Handover<Settings>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) {
      throw new Error("the handover is too long");
    }
    chunks.push(chunk);
  }
  return unseal<Settings>(Buffer.concat(chunks).toString("utf8"));
}
