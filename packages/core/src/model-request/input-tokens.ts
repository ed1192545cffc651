import { isRecord } from "./fields.ts";

/**
 * The dearest image by the provider's published tables: 8 tiles of a small model (2,833 + 8 × 5,667 = 48,169 tokens).
 * The newest models take 10,000 patches, at up to 2.46 tokens each.
 */
const IMAGE_TOKENS_MAX = 50_000;
/** What the API puts around a conversation of its own accord: some lines of text. */
const FRAME_TOKENS_MAX = 1_024;

/**
 * A number of input tokens that this request cannot exceed. A token stands for at least one byte of UTF-8, and what the
 * model reads of a text, of a tool's schema or of sealed reasoning is no longer than its JSON; the marks between items
 * are fewer than the bytes of their field names. Images are counted by their number instead: the API scales each down.
 *
 * @param request Rebuilt, and `body` its JSON.
 */
export function inputTokensOf(request: Record<string, unknown>, body: string): number {
  const images = recordsIn(request["input"])
    .flatMap((item) => [...recordsIn(item["content"]), ...recordsIn(item["output"])])
    .map((part) => part["image_url"])
    .filter((url) => typeof url === "string");
  const imageChars = images.reduce((sum, url) => sum + url.length, 0);
  const bytes = new TextEncoder().encode(body).length;
  return bytes - imageChars + images.length * IMAGE_TOKENS_MAX + FRAME_TOKENS_MAX;
}

function recordsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((entry) => isRecord(entry)) : [];
}
