/** Fields whose values differ from run to run, or were cut in the fixtures. */
const VARYING = new Set([
  "id",
  "call_id",
  "prompt_cache_key",
  "encrypted_content",
  "text",
  "output",
  "arguments",
  "input",
  "description",
  "definition",
]);
/** Under this field everything is about one run. */
const VARYING_WHOLE = "client_metadata";

/**
 * What a request body is made of, without what differs from run to run: one line for each path, with its value where that
 * is a constant of the CLI and its kind where it is not; and the kinds of its items in order.
 */
export function shapeOf(body: unknown): string[] {
  const lines = new Set<string>();
  walk(body, { path: "", field: "", isVarying: false }, lines);
  return [...lines].sort();
}

function walk(value: unknown, place: { path: string; field: string; isVarying: boolean }, lines: Set<string>): void {
  const { path, field } = place;
  const isVarying = place.isVarying || field === VARYING_WHOLE;
  if (Array.isArray(value)) {
    if (field === "input") {
      lines.add(`${path} = ${value.map(labelOf).join(", ")}`);
    }
    const isOfWords = value.every((entry) => typeof entry === "string");
    if (isOfWords) {
      lines.add(`${path} = [${value.join(", ")}]`);
      return;
    }
    for (const entry of value) {
      walk(entry, { path: `${path}[${labelOf(entry)}]`, field: "", isVarying }, lines);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [name, entry] of Object.entries(value)) {
      walk(entry, { path: path === "" ? name : `${path}.${name}`, field: name, isVarying }, lines);
    }
  } else {
    lines.add(`${path} = ${isVarying || VARYING.has(field) ? typeof value : JSON.stringify(value)}`);
  }
}

function labelOf(entry: unknown): string {
  if (typeof entry !== "object" || entry === null) {
    return typeof entry;
  }
  const { type, role, name } = entry as Record<string, unknown>;
  return [type, role, name].filter((part) => typeof part === "string").join(" ");
}
