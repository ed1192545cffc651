import type { Nodes } from "mdast";
import { isActive } from "./active-words.ts";
import { cleanText } from "./characters.ts";
import { isAllowedLink, type LinkScope } from "./links.ts";
import { parseMarkdown } from "./parse-markdown.ts";
import { walk } from "./rebuild.ts";

const ALLOWED: ReadonlySet<Nodes["type"]> = new Set([
  "root",
  "paragraph",
  "text",
  "heading",
  "list",
  "listItem",
  "code",
  "inlineCode",
  "blockquote",
  "table",
  "tableRow",
  "tableCell",
  "emphasis",
  "strong",
  "delete",
  "thematicBreak",
  "break",
  "link",
]);

/**
 * A second look at Markdown we wrote ourselves: read as GitHub reads it, is there nothing but what is allowed? Stands
 * behind the rebuilding, so that a mistake in the writer costs the formatting and not the safety.
 */
export function isSafeMarkdown(markdown: string, scope: LinkScope): boolean {
  const clean = cleanText(markdown);
  if (clean.controls + clean.invisible > 0 || clean.text !== markdown) {
    return false;
  }
  const root = parseMarkdown(markdown);
  return root !== null && walk(root).every((node) => isSafeNode(node, scope));
}

function isSafeNode(node: Nodes, scope: LinkScope): boolean {
  switch (node.type) {
    case "link":
      return isAllowedLink(node.url, scope) && (node.title ?? null) === null;
    case "text":
      return !node.value.split(/\s+/).some(isActive);
    case "heading":
      return node.depth <= 4;
    default:
      return ALLOWED.has(node.type);
  }
}
