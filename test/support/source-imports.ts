import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";

interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

/** A file of code. */
export interface Source {
  /** Relative to the root, with `/`. */
  readonly file: string;
  /** Its text with comments, the insides of strings and regular expressions blanked. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** Every file of code below the folders of a root that hold any: what is installed or built is left out. */
export async function readSources(root: string): Promise<Source[]> {
  const sources: Source[] = [];
  for (const top of ["apps", "packages", "infra", "test"]) {
    const entries = await readdir(join(root, top), { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = relative(root, join(entry.parentPath, entry.name));
      if (entry.isFile() && /\.(?:ts|mts|js|mjs)$/.test(entry.name) && !/(?:^|\/)(?:node_modules|dist)\//.test(path)) {
        const text = await readFile(join(root, path), "utf8");
        const code = withoutTexts(text);
        sources.push({ file: path, code, imports: importsIn(code, text) });
      }
    }
  }
  return sources;
}

const fromClause = /(?<![.\w$])(import|export)\s+(type\s+(?!from\b|,))?([\w$\s{},*]*?)\bfrom\s*["']/g;
const bareImport = /(?<![.\w$])import\s*["']/g;
const dynamicImport = /(?<![.\w$])(?:import|require)\s*\(\s*(["'`])?/g;

/** Every import, re-export and dynamic import. `code` is `text` with its texts blanked, so that offsets agree. */
function importsIn(code: string, text: string): Import[] {
  const specifierAt = (end: number) => /^(.*?)["'`]/.exec(text.slice(end))?.[1] ?? "";
  const clauses = [...code.matchAll(fromClause)].map((match): Import => {
    const names =
      /^\s*\{([^}]*)\}\s*$/
        .exec(match[3] ?? "")?.[1]
        ?.split(",")
        .filter((name) => name.trim() !== "") ?? [];
    const isTypeOnly = match[2] !== undefined || (names.length > 0 && names.every((name) => /^\s*type\s/.test(name)));
    return { specifier: specifierAt(match.index + match[0].length), isTypeOnly };
  });
  const bare = [...code.matchAll(bareImport)].map((match) => specifierAt(match.index + match[0].length));
  const dynamic = [...code.matchAll(dynamicImport)].map((match) =>
    match[1] === undefined ? "(computed)" : specifierAt(match.index + match[0].length),
  );
  return [...clauses, ...[...bare, ...dynamic].map((specifier) => ({ specifier, isTypeOnly: false }))];
}

/** The same code with comments, the insides of strings and regular expressions blanked, character for character. */
function withoutTexts(text: string): string {
  let out = "";
  /** Depths of braces at which a template goes on. */
  const templates: number[] = [];
  let depth = 0;
  const take = (length: number, blank: boolean) => {
    const part = text.slice(out.length, out.length + length);
    out += blank ? part.replaceAll(/[^\n]/g, " ") : part;
  };
  const takeTemplate = () => {
    const rest = /(?:[^`\\$]|\\[^]|\$(?!\{))*/y;
    rest.lastIndex = out.length;
    take(rest.exec(text)?.[0].length ?? 0, true);
    if (text[out.length] === "$") {
      templates.push(depth);
      depth += 1;
      take(2, false);
    } else {
      take(1, false);
    }
  };
  const skip = /\/\/[^\n]*|\/\*[^]*?\*\//y;
  const quoted = /"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/y;
  const pattern = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
  while (out.length < text.length) {
    const at = out.length;
    const sticky = (expression: RegExp) => {
      expression.lastIndex = at;
      return expression.exec(text)?.[0].length ?? 0;
    };
    const comment = sticky(skip);
    const string = sticky(quoted);
    const regex = /(?:[-(,=:[!&|?{};+*%~^<>]|\b(?:return|typeof|case|in|of))\s*$|^\s*$/.test(out.slice(-40))
      ? sticky(pattern)
      : 0;
    const char = text[at];
    if (comment > 0) {
      take(comment, true);
    } else if (string > 0) {
      take(1, false);
      take(string - 2, true);
      take(1, false);
    } else if (regex > 0) {
      take(regex, true);
    } else if (char === "`") {
      take(1, false);
      takeTemplate();
    } else {
      depth += char === "{" ? 1 : char === "}" ? -1 : 0;
      take(1, false);
      if (char === "}" && templates.at(-1) === depth) {
        templates.pop();
        takeTemplate();
      }
    }
  }
  return out;
}
