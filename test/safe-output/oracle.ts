import MarkdownIt from "markdown-it";

/** Another Markdown parser, set to find as much as it can: HTML on, and its own idea of what a bare link is. */
const reader = new MarkdownIt({ html: true, linkify: true });
reader.linkify.set({ fuzzyLink: true, fuzzyEmail: true, fuzzyIP: true });

type Token = ReturnType<typeof reader.parse>[number];

const OWN_LINK =
  /^https:\/\/github\.com\/acme\/app\/(?:blob|pull|issues|commit|tree)\/[A-Za-z0-9._~/+-]+(?:#[A-Za-z0-9._-]+)?$/;

/**
 * What a reader of this Markdown would act on: pictures, foreign links, raw HTML, and words outside code that GitHub turns
 * into mentions and references. Empty for safe text. It shares no code with what it judges.
 */
export function findLive(markdown: string): string[] {
  const tokens = all(reader.parse(markdown, {}));
  return [...tokens.flatMap(judge), ...closing(tokens)];
}

/** A word that closes an issue, right before a link to one. */
function closing(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token, at) => {
    const before = tokens.slice(0, at).findLast(({ type }) => type !== "softbreak" && !type.endsWith("_open"));
    const isCloser =
      before?.type === "text" && /\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s*$/i.test(before.content);
    return token.type === "link_open" && isCloser ? [`closing ${before.content}`] : [];
  });
}

function all(tokens: readonly Token[]): Token[] {
  return tokens.flatMap((token) => [token, ...all(token.children ?? [])]);
}

function judge(token: Token): string[] {
  switch (token.type) {
    case "image":
      return [`image ${token.content}`];
    case "html_block":
    case "html_inline":
      return [`html ${token.content}`];
    case "link_open": {
      const href = String(token.attrGet("href"));
      return OWN_LINK.test(href) ? [] : [`link ${href}`];
    }
    case "fence":
      return /^(?:math|mermaid|geojson|topojson|stl|suggestion)\b|@/.test(token.info) ? [`fence ${token.info}`] : [];
    case "text":
      // Amounts of money are no mathematics.
      return /@|#\d|\bGH-\d|\b[0-9a-f]{7,40}\b|:\/\/|\bwww\.|^\/[a-z]|^::|##\[|\$(?!\d[\d,]*\.\d\d\b)|\[![a-z]+\]|:[a-z][a-z0-9_+-]*:/i.test(
        token.content,
      )
        ? [`text ${token.content}`]
        : [];
    default:
      return [];
  }
}
