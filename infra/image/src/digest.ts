import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";

/** The SHA-256 of bytes or of UTF-8 text, in lower-case hex. */
export function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/** The hash of a file's content in hex (or base64 for npm's integrity); the file is read as a stream. */
export async function hashFile(
  path: string,
  options: { algorithm?: "sha256" | "sha512"; encoding?: "hex" | "base64"; signal?: AbortSignal } = {},
): Promise<string> {
  const hash = createHash(options.algorithm ?? "sha256");
  const stream = createReadStream(path, options.signal === undefined ? {} : { signal: options.signal });
  for await (const chunk of stream) {
    hash.update(chunk as Buffer);
  }
  return hash.digest(options.encoding ?? "hex");
}

/** JSON with every object's keys sorted and no spaces, so that equal values have equal bytes. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    isPlainObject(item) ? Object.fromEntries(Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1))) : item,
  );
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
