import type { AlignType, BlockContent, DefinitionContent, List, Paragraph, RootContent, Table } from "mdast";
import { assertNever } from "../assert.ts";
import { cleanText } from "./characters.ts";
import { flatten } from "./flatten.ts";
import { rebuildPhrasing, type RebuildContext, type SafePhrasing } from "./phrasing.ts";

/** Lists in quotes in lists: what is deeper is shown as plain text. */
const BLOCK_DEPTH_MAX = 8;
/** Rows are filled up to the widest, so that width and length multiply. */
const TABLE_COLUMNS_MAX = 40;
/** Headings are no bigger than the title of our own frame. */
const HEADING_MIN = 3;
const HEADING_MAX = 4;
/** Languages that are only coloured. Anything else (mermaid, math, maps, suggestion) GitHub turns into something live. */
const LANGUAGES: ReadonlySet<string> = new Set(
  (
    "bash c clojure cpp cs csharp css csv diff dockerfile elixir erlang go graphql groovy haskell hcl html http ini java " +
    "javascript js json jsonc jsx kotlin less lua makefile markdown md nix objc ocaml patch perl php powershell proto python " +
    "py r rb ruby rs rust scala scss sh shell sql svelte swift text toml ts tsx txt typescript vue xml yaml yml zig zsh"
  ).split(" "),
);

type Block = BlockContent | DefinitionContent | RootContent;

/** Builds blocks anew from the kinds that are allowed; any other becomes plain text. */
export function rebuildBlocks(blocks: readonly Block[], context: RebuildContext, depth = 0): BlockContent[] {
  return blocks.flatMap((block) => rebuildBlock(block, context, depth));
}

function rebuildBlock(block: Block, context: RebuildContext, depth: number): BlockContent[] {
  switch (block.type) {
    case "paragraph":
      return paragraph(rebuildPhrasing(block.children, context));
    case "heading": {
      const children = rebuildPhrasing(block.children, context, true);
      const level = block.depth <= HEADING_MIN ? HEADING_MIN : HEADING_MAX;
      return children.length === 0 ? [] : [{ type: "heading", depth: level, children }];
    }
    case "thematicBreak":
      return [{ type: "thematicBreak" }];
    case "code":
      return [code(block.value, block.lang ?? null, context)];
    case "html":
      context.removed.E_HTML += 1;
      return plain(block.value, context);
    case "definition":
      return [];
    case "blockquote":
    case "list":
    case "footnoteDefinition":
      return depth >= BLOCK_DEPTH_MAX ? unformatted(block, context) : container(block, context, depth);
    case "table":
      return table(block, context);
    default:
      return unformatted(block, context);
  }
}

function container(
  block: Extract<Block, { type: "blockquote" | "list" | "footnoteDefinition" }>,
  context: RebuildContext,
  depth: number,
): BlockContent[] {
  switch (block.type) {
    case "blockquote": {
      const children = rebuildBlocks(block.children, context, depth + 1);
      return children.length === 0 ? [] : [{ type: "blockquote", children }];
    }
    case "list":
      return [list(block, context, depth)];
    case "footnoteDefinition":
      context.removed.E_MARKDOWN += 1;
      return [
        ...plain(`[^${block.label ?? block.identifier}]:`, context),
        ...rebuildBlocks(block.children, context, depth + 1),
      ];
    default:
      return assertNever(block);
  }
}

function list(block: List, context: RebuildContext, depth: number): List {
  return {
    type: "list",
    ordered: block.ordered === true,
    start: block.ordered === true ? (block.start ?? 1) : null,
    spread: block.spread === true,
    children: block.children.map((item) => {
      const children = rebuildBlocks(item.children, context, depth + 1);
      const checked = typeof item.checked === "boolean" && children[0]?.type === "paragraph" ? item.checked : null;
      return { type: "listItem", checked, spread: item.spread === true, children };
    }),
  };
}

function table(block: Table, context: RebuildContext): BlockContent[] {
  if (block.children.some((row) => row.children.length > TABLE_COLUMNS_MAX)) {
    return unformatted(block, context);
  }
  const align: AlignType[] = (block.align ?? []).slice(0, TABLE_COLUMNS_MAX);
  return [
    {
      type: "table",
      align,
      children: block.children.map((row) => ({
        type: "tableRow",
        children: row.children.map((cell) => ({
          type: "tableCell",
          children: rebuildPhrasing(cell.children, context, true),
        })),
      })),
    },
  ];
}

function code(value: string, lang: string | null, { removed }: RebuildContext): BlockContent {
  const { text, controls, invisible } = cleanText(value);
  removed.E_CONTROL += controls;
  removed.E_UNICODE += invisible;
  const known = lang === null || !LANGUAGES.has(lang.toLowerCase()) ? null : lang.toLowerCase();
  removed.E_MARKDOWN += lang !== null && known === null ? 1 : 0;
  return { type: "code", lang: known, meta: null, value: text };
}

/** The text of a block that may not stand as what it is. */
function unformatted(block: Block, context: RebuildContext): BlockContent[] {
  context.removed.E_MARKDOWN += 1;
  return plain(flatten(block), context);
}

function plain(value: string, context: RebuildContext): BlockContent[] {
  return paragraph(rebuildPhrasing([{ type: "text", value: value.trim() }], context));
}

function paragraph(children: SafePhrasing[]): Paragraph[] {
  return children.length === 0 ? [] : [{ type: "paragraph", children }];
}
