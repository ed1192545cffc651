import type { Break, Delete, Emphasis, InlineCode, PhrasingContent, Strong, Text } from "mdast";
import { assertNever } from "../assert.ts";
import { endingKeyword, splitActive } from "./active-words.ts";
import { cleanText } from "./characters.ts";
import { defang, isAllowedLink, type LinkScope } from "./links.ts";
import type { Removed } from "./removed.ts";
import type { TextRuleCode } from "./rules.ts";
import { flatten } from "./flatten.ts";

/** What the rebuilding of one text needs throughout. */
export interface RebuildContext {
  readonly scope: LinkScope;
  /** URLs of the definitions, by identifier. */
  readonly definitions: ReadonlyMap<string, string>;
  readonly removed: Removed;
}

interface AllowedLink {
  readonly type: "link";
  readonly url: string;
  readonly title: null;
  readonly children: SafePhrasing[];
}

/** Everything that may stand in a line. */
export type SafePhrasing =
  | Text
  | InlineCode
  | Break
  | AllowedLink
  | (Emphasis & { children: SafePhrasing[] })
  | (Strong & { children: SafePhrasing[] })
  | (Delete & { children: SafePhrasing[] });

/** Emphasis in emphasis in links: more is no text. */
const INLINE_DEPTH_MAX = 6;

/**
 * Builds the content of a line anew. First everything is reduced to what may stand there, with neighbouring texts put
 * together, so that no active word can hide between two nodes; only then are active words looked for.
 */
export function rebuildPhrasing(
  nodes: readonly PhrasingContent[],
  context: RebuildContext,
  oneLine = false,
): SafePhrasing[] {
  return finish(
    nodes.flatMap((node) => reduce(node, context, 0)),
    context,
    oneLine,
  );
}

function reduce(node: PhrasingContent, context: RebuildContext, depth: number): SafePhrasing[] {
  if (depth >= INLINE_DEPTH_MAX) {
    context.removed.E_MARKDOWN += 1;
    return text(flatten(node), context);
  }
  switch (node.type) {
    case "text":
      return text(node.value, context);
    case "inlineCode":
      return code(node.value, context);
    case "break":
      return [{ type: "break" }];
    case "emphasis":
    case "strong":
    case "delete":
      return [{ type: node.type, children: node.children.flatMap((child) => reduce(child, context, depth + 1)) }];
    case "html":
      context.removed.E_HTML += 1;
      return text(node.value, context);
    case "image":
    case "imageReference":
      context.removed.E_IMAGE += 1;
      return text("[image removed]", context);
    case "link":
      return link(node.url, node.children, context, depth);
    case "linkReference": {
      const url = context.definitions.get(node.identifier);
      return link(url ?? "", node.children, context, depth);
    }
    case "footnoteReference":
      context.removed.E_MARKDOWN += 1;
      return text(`[^${node.label ?? node.identifier}]`, context);
    default:
      context.removed.E_MARKDOWN += 1;
      return text(flatten(node), context);
  }
}

/** A link that may stay stays; of any other its text stays, and its address as text. */
function link(
  url: string,
  children: readonly PhrasingContent[],
  context: RebuildContext,
  depth: number,
): SafePhrasing[] {
  const inner = children.flatMap((child) => reduce(child, context, depth + 1));
  if (isAllowedLink(url, context.scope)) {
    return [{ type: "link", url, title: null, children: inner }];
  }
  context.removed.E_LINK += 1;
  const shown = children.map(flatten).join("");
  const address = url === shown || url === `mailto:${shown}` || url === "" ? [] : code(defang(url), context);
  return address.length === 0 ? inner : [...inner, { type: "text", value: " " }, ...address];
}

function text(value: string, context: RebuildContext): SafePhrasing[] {
  const clean = cleaned(value, context);
  return clean === "" ? [] : [{ type: "text", value: clean }];
}

function code(value: string, context: RebuildContext): SafePhrasing[] {
  const clean = cleaned(value, context).replace(/\s+/g, " ").trim();
  return clean === "" ? [] : [{ type: "inlineCode", value: clean }];
}

function cleaned(value: string, { removed }: RebuildContext): string {
  const { text: clean, controls, invisible } = cleanText(value);
  removed.E_CONTROL += controls;
  removed.E_UNICODE += invisible;
  return clean;
}

function finish(nodes: readonly SafePhrasing[], context: RebuildContext, oneLine: boolean): SafePhrasing[] {
  const done: SafePhrasing[] = [];
  for (const node of merge(oneLine ? nodes.map(withoutBreak) : nodes)) {
    if (node.type === "text") {
      // Two nodes may have met here: a letter and its mark.
      const value = node.value.normalize("NFC");
      done.push(...active(oneLine ? value.replaceAll("\n", " ") : value, context));
    } else if (node.type === "inlineCode" || node.type === "break") {
      done.push(node);
    } else {
      const children = finish(node.children, context, oneLine);
      if (children.length > 0) {
        closeKeyword(done, node, context);
        done.push({ ...node, children });
      }
    }
  }
  return merge(done);
}

function active(value: string, { scope, removed }: RebuildContext): SafePhrasing[] {
  const note = (code: TextRuleCode): void => void (removed[code] += 1);
  return splitActive(value, scope, note).map(({ kind, value: part }): SafePhrasing => {
    switch (kind) {
      case "text":
        return { type: "text", value: part };
      case "code":
        return { type: "inlineCode", value: part };
      case "link":
        return { type: "link", url: part, title: null, children: [{ type: "inlineCode", value: part }] };
      default:
        return assertNever(kind);
    }
  });
}

/** "Fixes" before a link to an issue becomes a code span too. */
function closeKeyword(done: SafePhrasing[], next: SafePhrasing, { removed }: RebuildContext): void {
  const last = done.at(-1);
  const found = beginsWithLink(next) && last?.type === "text" ? endingKeyword(last.value) : null;
  if (found === null) {
    return;
  }
  done.pop();
  removed.E_CLOSING += 1;
  done.push(
    { type: "text", value: found.before },
    { type: "inlineCode", value: found.keyword.trim() },
    { type: "text", value: " " },
  );
}

/** A link, or emphasis around one: no deeper than `INLINE_DEPTH_MAX`. */
function beginsWithLink(node: SafePhrasing | undefined): boolean {
  return node?.type === "link" || (node !== undefined && "children" in node && beginsWithLink(node.children[0]));
}

function withoutBreak(node: SafePhrasing): SafePhrasing {
  return node.type === "break" ? { type: "text", value: " " } : node;
}

/** Neighbouring texts become one, and so do neighbouring code spans, whose backticks would otherwise meet. */
function merge(nodes: readonly SafePhrasing[]): SafePhrasing[] {
  const merged: SafePhrasing[] = [];
  for (const node of nodes) {
    const last = merged.at(-1);
    if (last !== undefined && (node.type === "text" || node.type === "inlineCode") && last.type === node.type) {
      merged[merged.length - 1] = { type: node.type, value: last.value + node.value };
    } else if (node.type !== "text" || node.value !== "") {
      merged.push(node);
    }
  }
  return merged;
}
