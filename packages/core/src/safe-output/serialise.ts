import type { Root } from "mdast";
import { gfmToMarkdown } from "mdast-util-gfm";
import { toMarkdown } from "mdast-util-to-markdown";

/** Writes a rebuilt tree as Markdown: links always in full form, code always fenced, no table padding that multiplies. */
export function serialise(root: Root): string {
  return toMarkdown(root, {
    bullet: "-",
    emphasis: "_",
    fences: true,
    incrementListMarker: true,
    listItemIndent: "one",
    resourceLink: true,
    rule: "-",
    // A `<` in text is escaped wherever it stands, not only where this version of the writer sees a tag.
    unsafe: [{ character: "<", inConstruct: "phrasing" }],
    extensions: [gfmToMarkdown({ tablePipeAlign: false })],
  }).trimEnd();
}
