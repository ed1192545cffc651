import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument, visit } from "yaml";

/** Where something stands in a text; both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A mistake in a text somebody wrote, and where it is. */
export interface Problem extends Place {
  readonly message: string;
}

/** A mapping, and where its parts stand. */
export interface StrictYaml {
  readonly value: Readonly<Record<string, unknown>>;
  /** Of a key (or of its value), or of the nearest part around it that the text has. */
  placeOf(path: readonly PropertyKey[], part: "key" | "value"): Place;
}

export type StrictYamlResult =
  | { readonly ok: true; readonly yaml: StrictYaml }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** A person corrects a few mistakes at a time; more would only hide the first. */
const PROBLEMS_MAX = 20;
/** Levels of a value: a JSON Schema that a person wrote has a dozen. */
const DEPTH_MAX = 64;
const TOO_DEEP = "this is nested too deeply";

/**
 * Reads one YAML mapping without the parts of YAML that surprise: no anchors, aliases, tags, merge keys, second
 * documents, repeated or non-text keys. Never throws. Bound: `charsMax`; nothing can be repeated by reference, but
 * time is quadratic in the names of one mapping.
 *
 * @param firstLine The number of the text's first line, where it is a part of a longer file.
 */
export function readStrictYaml(text: string, options: { charsMax: number; firstLine?: number }): StrictYamlResult {
  const firstLine = options.firstLine ?? 1;
  if (text.length > options.charsMax) {
    const message = `this is longer than ${options.charsMax} characters`;
    return { ok: false, problems: [{ line: firstLine, column: 1, message }] };
  }
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1) + firstLine - 1, column: Math.max(col, 1) };
  };
  try {
    return read(text, lines, place);
  } catch (error) {
    // The library calls itself once for each level: its stack is the bound on depth.
    if (error instanceof RangeError) {
      return { ok: false, problems: [{ ...place(0), message: TOO_DEEP }] };
    }
    throw error;
  }
}

function read(text: string, lines: LineCounter, place: (offset: number) => Place): StrictYamlResult {
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    schema: "core",
    version: "1.2",
    merge: false,
    stringKeys: true,
    // Not "silent": that would let a second document pass unseen.
    logLevel: "error",
  });
  const exhausted = document.errors.find((error) => error.code === "RESOURCE_EXHAUSTION");
  if (exhausted !== undefined) {
    return { ok: false, problems: [{ ...place(exhausted.pos[0]), message: TOO_DEEP }] };
  }
  const problems: Problem[] = document.errors.map((error) => ({
    ...place(error.pos[0]),
    message: explain(error.code, error.message),
  }));
  refuseSurprises(document, (offset, message) => problems.push({ ...place(offset), message }));
  const { contents } = document;
  const isEmpty = contents === null || (isScalar(contents) && contents.value === null);
  if (!isEmpty && !isMap(contents)) {
    problems.push({ ...place(contents.range?.[0] ?? 0), message: "this must be a list of `name: value` lines" });
  }
  if (problems.length > 0) {
    return { ok: false, problems: problems.sort(byPlace).slice(0, PROBLEMS_MAX) };
  }
  const value: Record<string, unknown> = isEmpty ? {} : (document.toJS() as Record<string, unknown>);
  return { ok: true, yaml: { value, placeOf: (path, part) => place(offsetOf(document, path, part)) } };
}

function refuseSurprises(document: Document, report: (offset: number, message: string) => void): void {
  visit(document, {
    Alias: (_, node) => {
      report(node.range?.[0] ?? 0, "aliases (`*name`) are not read: write the value again");
    },
    Value: (_, node, path) => {
      const offset = node.range?.[0] ?? 0;
      // The path names the pairs between the levels as well.
      if (path.length > 2 * DEPTH_MAX) {
        report(offset, TOO_DEEP);
        return visit.BREAK;
      }
      if (node.anchor !== undefined) {
        report(offset, "anchors (`&name`) are not read");
      }
      if (node.tag !== undefined) {
        report(offset, "tags (`!name`) are not read");
      }
      return undefined;
    },
  });
}

function explain(code: string, message: string): string {
  switch (code) {
    case "DUPLICATE_KEY":
      return "this name is given twice";
    case "NON_STRING_KEY":
      return "a name must be text";
    case "MULTIPLE_DOCS":
      return "there must be one document only";
    default:
      return message.slice(0, 200);
  }
}

function offsetOf(document: Document, path: readonly PropertyKey[], part: "key" | "value"): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const [index, step] of path.entries()) {
    if (!isMap(node)) {
      const item: unknown = isNode(node) && "get" in node ? document.getIn(path.slice(0, index + 1), true) : undefined;
      if (!isNode(item)) {
        return offset;
      }
      node = item;
      offset = item.range?.[0] ?? offset;
      continue;
    }
    const pair: unknown = node.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === step);
    if (!isPair(pair)) {
      return offset;
    }
    node = pair.value;
    const target: unknown = part === "value" && isNode(pair.value) ? pair.value : pair.key;
    offset = isNode(target) ? (target.range?.[0] ?? offset) : offset;
  }
  return offset;
}

function byPlace(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column;
}
