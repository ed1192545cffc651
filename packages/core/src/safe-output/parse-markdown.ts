import type { Root } from "mdast";
import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { gfm } from "micromark-extension-gfm";

/**
 * The parser takes time quadratic in the marks of one paragraph (measured: 6 s for 20,000 characters of `![`), so the sum
 * of the squares of the marks is what is bounded. 9,000,000 is one paragraph of 3,000 marks, or a hundred of 300.
 */
const MARKS_SQUARED_MAX = 9_000_000;
/** Containers that one line may open: each is a parser inside the one before. */
const CONTAINERS_PER_LINE_MAX = 16;
const MARK = /[[\]*_~!]/g;
/** A blank line ends a paragraph, and so does a list item that is not indented. */
const PARAGRAPH_END = /^(?:\s*$| {0,3}[-+*] +\S)/;
const CONTAINERS = /^(?:[ \t]*(?:>|(?:[-+*]|\d{1,9}[.)])(?=\s)))+/;
const CONTAINER = />|[-+*]|\d+[.)]/g;

/** GFM as GitHub reads it, with bare URLs left as text: `splitActive` finds those, and more of them. */
const syntax = [gfm(), { disable: { null: ["wwwAutolink", "protocolAutolink", "emailAutolink"] } }];
/** The transforms walk the tree by recursion, which a deep tree would turn into a crash, and only find bare URLs. */
const toTree = gfmFromMarkdown().map((extension) => ({ ...extension, transforms: [] }));

/** Parses Markdown, or returns null if it is built to cost more time than text should. */
export function parseMarkdown(markdown: string): Root | null {
  return isCostly(markdown) ? null : fromMarkdown(markdown, { extensions: syntax, mdastExtensions: toTree });
}

/** True if parsing could take longer than about a second. Linear in the text. */
function isCostly(markdown: string): boolean {
  let cost = 0;
  let marks = 0;
  for (const line of markdown.split("\n")) {
    const opened = CONTAINERS.exec(line)?.[0].match(CONTAINER)?.length ?? 0;
    if (opened > CONTAINERS_PER_LINE_MAX && !/^[-*+ \t]*$/.test(line)) {
      return true;
    }
    if (PARAGRAPH_END.test(line)) {
      cost += marks ** 2;
      marks = 0;
    }
    marks += line.match(MARK)?.length ?? 0;
  }
  return cost + marks ** 2 > MARKS_SQUARED_MAX;
}
