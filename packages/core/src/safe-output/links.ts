/** Whose links are kept. */
export interface LinkScope {
  /** Null: no link at all is kept. */
  readonly repository: { readonly owner: string; readonly name: string } | null;
  readonly githubHost: string;
}

/** Long enough for any path of a repository; what is longer is shown in part. */
const URL_CHARS_MAX = 300;
/** ASCII without userinfo, query, port, percent or backslash: nothing that two parsers could read differently. */
const PLAIN_URL = /^https:\/\/([a-z0-9.-]+)\/([A-Za-z0-9._~/+-]+)(#[A-Za-z0-9._-]{1,64})?$/;

/** True for an https link into the same repository's code, commits, issues and pull requests, and for nothing else. */
export function isAllowedLink(url: string, scope: LinkScope): boolean {
  const match = url.length > URL_CHARS_MAX ? null : PLAIN_URL.exec(url);
  if (match === null || scope.repository === null || match[1] !== scope.githubHost) {
    return false;
  }
  const [owner = "", name = "", area = "", ...rest] = (match[2] ?? "").split("/");
  if ([owner, name, ...rest].some((part) => part === "" || part === "." || part === "..")) {
    return false;
  }
  return (
    owner.toLowerCase() === scope.repository.owner.toLowerCase() &&
    name.toLowerCase() === scope.repository.name.toLowerCase() &&
    isAllowedPage(area, rest)
  );
}

/** A URL, or text with one in it, as no program takes for one: shown in a code span. */
export function defang(url: string): string {
  const shown = url.length > URL_CHARS_MAX ? `${url.slice(0, URL_CHARS_MAX)}…` : url;
  return shown
    .replace(/http(?=s?:)/gi, "hxxp")
    .replace(/((?:java|vb)script|data|file|mailto):/gi, "$1[:]")
    .replace(/(?<=\/\/|^(?=www\.))[^/?#]*/gi, (host) => host.replaceAll(".", "[.]"));
}

function isAllowedPage(area: string, rest: readonly string[]): boolean {
  const [first = ""] = rest;
  switch (area) {
    case "blob":
    case "tree":
      return rest.length > 0;
    case "pull":
    case "issues":
      return /^\d{1,10}$/.test(first);
    case "commit":
      return rest.length === 1 && /^[0-9a-f]{7,64}$/.test(first);
    default:
      return false;
  }
}
