/** Routes by GitHub's own path templates. */
import type { Context, Reply } from "./http.ts";

export interface Route {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** As GitHub's description spells it. */
  readonly path: string;
  /** Which credential it takes: the App's JWT, an installation token, either, or none. */
  readonly auth: "app" | "installation" | "either" | "none";
  /** `name:level`; one of them is enough. */
  readonly needs?: readonly string[];
  /** Path under which the description has it, where it has none for `path` itself. */
  readonly describedAs?: string;
  /** Not REST: the description has nothing to hold it to. */
  readonly isUndescribed?: true;
  handle(context: Context): Reply | Promise<Reply>;
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** Parameters that may hold slashes. */
const GREEDY = new Set(["path", "basehead", "branch"]);
const GREEDY_AFTER_GIT = /\/git\/refs?\/\{ref\}$/;

export function createRouter(routes: readonly Route[]): (method: string, path: string) => Match | undefined {
  const patterns = routes.map((route) => ({ route, pattern: patternOf(route.path) }));
  return (method, path) => {
    for (const { route, pattern } of patterns) {
      const match = route.method === method ? pattern.exec(path) : null;
      if (match === null) {
        continue;
      }
      const params = decodeAll(match.groups ?? {});
      if (params !== undefined) {
        return { route, params };
      }
    }
    return undefined;
  };
}

function patternOf(template: string): RegExp {
  const source = template.replaceAll(/(\/?)\{(\w+)\}/g, (_, slash: string, name: string) => {
    if (name === "path") {
      return "(?:/(?<path>.*?))?/?";
    }
    const greedy = GREEDY.has(name) || GREEDY_AFTER_GIT.test(template);
    const numeric = /_(?:number|id)$/.test(name);
    const expression = numeric ? "\\d{1,16}" : greedy && template.endsWith(`{${name}}`) ? ".+" : "[^/]+";
    return `${slash}(?<${name}>${expression})`;
  });
  return new RegExp(`^${source}$`);
}

function decodeAll(groups: Record<string, string | undefined>): Record<string, string> | undefined {
  try {
    return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value ?? "")]));
  } catch {
    return undefined;
  }
}
