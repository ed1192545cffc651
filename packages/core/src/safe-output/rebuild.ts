import type { Definition, Nodes, Root } from "mdast";
import { rebuildBlocks } from "./blocks.ts";
import type { LinkScope } from "./links.ts";
import type { Removed } from "./removed.ts";

/** A fresh tree with nothing in it but what is allowed; counts in `removed` what is not. */
export function rebuild(root: Root, scope: LinkScope, removed: Removed): Root {
  return { type: "root", children: rebuildBlocks(root.children, { scope, definitions: definitionsOf(root), removed }) };
}

/** The first definition of a name counts, as in Markdown. */
function definitionsOf(root: Root): ReadonlyMap<string, string> {
  const definitions = new Map<string, string>();
  for (const node of walk(root)) {
    if (node.type === "definition" && !definitions.has(node.identifier)) {
      definitions.set(node.identifier, (node satisfies Definition).url);
    }
  }
  return definitions;
}

/** Every node, in order, without recursion. */
export function* walk(root: Nodes): Generator<Nodes> {
  const rest: Nodes[] = [root];
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    yield node;
    if ("children" in node) {
      rest.push(...node.children.toReversed());
    }
  }
}
