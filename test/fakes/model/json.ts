export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The objects in a list; nothing if it is no list. */
export function recordsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((entry) => isRecord(entry)) : [];
}

/** The text of a message's or an output's content, which is a string or a list of parts. */
export function textIn(content: unknown): string {
  if (typeof content === "string") {
    return content;
  }
  return recordsIn(content)
    .map((part) => (typeof part.text === "string" ? part.text : ""))
    .join("");
}
