import type { Nodes } from "mdast";

/** The text of a tree however deep, in order; without recursion, since depth is the attacker's to choose. */
export function flatten(node: Nodes): string {
  const parts: string[] = [];
  const rest: Nodes[] = [node];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    if (next.type === "image" || next.type === "imageReference") {
      parts.push("[image removed]");
    } else if ("value" in next) {
      parts.push(next.value);
    } else if ("children" in next) {
      for (let i = next.children.length - 1; i >= 0; i -= 1) {
        const child = next.children[i];
        if (child !== undefined) {
          rest.push(child);
        }
      }
    }
    if (BLOCKS.has(next.type)) {
      parts.push("\n");
    }
  }
  return parts.join("");
}

const BLOCKS: ReadonlySet<string> = new Set(["paragraph", "heading", "code", "html", "tableRow", "break"]);
