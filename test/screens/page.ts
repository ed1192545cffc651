import { micromark } from "micromark";
import { gfm, gfmHtml } from "micromark-extension-gfm";

/** One thing on a pull request's page, from top to bottom. */
export type Part =
  /** A comment, as its Markdown. */
  | { readonly kind: "comment"; readonly author: string; readonly body: string }
  /** A comment beside a line of the diff. */
  | {
      readonly kind: "beside";
      readonly path: string;
      readonly line: number;
      readonly text: string;
      readonly body: string;
    }
  /** A check run with its buttons. */
  | {
      readonly kind: "check";
      readonly name: string;
      readonly state: string;
      readonly title: string;
      readonly summary: string;
      readonly buttons: readonly string[];
    };

/** Wide enough for a comment as GitHub lays it out. */
export const WIDTH = 880;

/**
 * A page that shows these parts about as GitHub does: its Markdown (GFM), with the HTML that it lets through, in a plain
 * style of our own. The texts are taken to be safe already: it is for pictures of what Mayfly wrote itself.
 */
export function pageOf(parts: readonly Part[]): string {
  return `<!doctype html><meta charset="utf-8"><style>${STYLE}</style><body>${parts.map(sectionOf).join("\n")}</body>`;
}

function sectionOf(part: Part): string {
  switch (part.kind) {
    case "comment":
      return box(`<b>${escaped(part.author)}</b> <i>bot</i> commented`, markdown(part.body));
    case "beside":
      return box(
        `<code>${escaped(part.path)}</code>`,
        `<pre class="line"><span>${part.line}</span>+ ${escaped(part.text)}</pre><div class="beside">${markdown(part.body)}</div>`,
      );
    case "check":
      return box(
        `<b>${escaped(part.name)}</b> <i>${escaped(part.state)}</i>`,
        `<p class="buttons">${part.buttons.map((label) => `<button>${escaped(label)}</button>`).join("")}</p><h2>${escaped(part.title)}</h2>${markdown(part.summary)}`,
      );
    default:
      return part satisfies never;
  }
}

function box(head: string, body: string): string {
  return `<section><header>${head}</header><div class="body">${body}</div></section>`;
}

function markdown(text: string): string {
  return micromark(text, { extensions: [gfm()], htmlExtensions: [gfmHtml()], allowDangerousHtml: true });
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

const STYLE = `
  body { font: 14px/1.5 "Liberation Sans", sans-serif; color: #1f2328; margin: 0; padding: 16px; width: ${WIDTH - 32}px; }
  section { border: 1px solid #d0d7de; border-radius: 6px; margin-bottom: 16px; overflow: hidden; }
  header { background: #f6f8fa; border-bottom: 1px solid #d0d7de; padding: 8px 16px; color: #59636e; }
  header b { color: #1f2328; } header i { border: 1px solid #d0d7de; border-radius: 8px; padding: 0 6px; font-size: 12px; }
  .body { padding: 8px 16px; } h2, h3 { font-size: 17px; margin: 12px 0 8px; }
  code, pre { font: 12px/1.45 "Liberation Mono", monospace; background: #eff1f3; border-radius: 4px; }
  code { padding: 2px 5px; } pre { padding: 10px 12px; overflow: hidden; } pre code { padding: 0; background: none; }
  blockquote { border-left: 4px solid #d0d7de; margin: 12px 0; padding: 0 14px; color: #59636e; }
  details { margin: 8px 0; } summary { cursor: pointer; } ul { padding-left: 24px; } a { color: #0969da; }
  li:has(> input) { list-style: none; margin-left: -20px; } table { border-collapse: collapse; }
  td, th { border: 1px solid #d0d7de; padding: 4px 10px; }
  .buttons { float: right; margin: 8px 0; } button { font: inherit; border: 1px solid #d0d7de; border-radius: 6px;
  background: #f6f8fa; padding: 3px 12px; margin-left: 8px; }
  .line { background: #dafbe1; margin: 0; } .line span { color: #59636e; padding-right: 20px; }
  .language-suggestion { display: block; } .beside { border: 1px solid #d0d7de; border-radius: 6px; padding: 4px 14px; margin: 10px 0; }
`;
