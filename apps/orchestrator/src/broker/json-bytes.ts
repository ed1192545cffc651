import { readStrictJson, type StrictJsonBounds } from "@mayfly/core";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Null if the bytes are not UTF-8. A byte order mark stays, and is no JSON. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

/**
 * Reads JSON of somebody else's: strict UTF-8, and JSON that means the same to every reader (`readStrictJson`). Undefined
 * for anything else, and for what is beyond the bounds. Never throws.
 */
export function readJsonBytes(bytes: Uint8Array, bounds: StrictJsonBounds): unknown {
  const text = decodeUtf8(bytes);
  const read = text === null ? null : readStrictJson(text, bounds);
  return read?.ok === true ? read.value : undefined;
}
