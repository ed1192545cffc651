import type { DiffFile, DiffLine } from "./diff.ts";

/** A line worth a second look, and why. */
export interface Finding {
  readonly path: string;
  /** In the new file. */
  readonly line: number;
  /** Markdown; a whole sentence or two. */
  readonly message: string;
  /** The added line as it is. */
  readonly code: string;
}

interface Rule {
  readonly pattern: RegExp;
  /** Which files it reads; all code if absent. */
  readonly files?: RegExp;
  readonly message: (found: RegExpExecArray) => string;
}

const codeFiles = /\.(?:[cm]?[jt]sx?|py|go|rs|java|kt|c|h|cc|cpp|hpp|cs|php|rb|swift|scala)$/i;
const scriptFiles = /\.(?:[cm]?[jt]sx?)$/i;
const bracedFiles = /\.(?:[cm]?[jt]sx?|java|c|h|cc|cpp|hpp|cs|php)$/i;

/** Each reads one line, with strings emptied and comments taken off. */
const rules: Rule[] = [
  {
    pattern:
      /\b(?:for|while)\b.*?(?<![\w.$)\]])([A-Za-z_$][\w$]*)\s*<=\s*([\w$.]+\.length|len\([\w.]+\))(?!\s*[-\w.([])/,
    message: ([, index, end]) =>
      `The last round of this loop has \`${index}\` equal to \`${end}\`, one past the last index. \`<\` stops in time.`,
  },
  {
    pattern:
      /^(?!.*\b(?:for|while)\b).*?(?<![\w.$)\]])([A-Za-z_$][\w$]*)\s*<=\s*([\w$.]+\.length|len\([\w.]+\))(?!\s*[-\w.([])/,
    message: ([, index, end]) =>
      `\`<=\` lets \`${index}\` equal \`${end}\`. If it is an index, that is one past the last.`,
  },
  {
    pattern: /([A-Za-z_$][\w$.]*)\[\s*\1\.length\s*\]/,
    message: ([read]) => `\`${read}\` is one past the last element.`,
  },
  {
    pattern: /\brange\(\s*(?:0\s*,\s*)?(len\([\w.]+\))\s*\+\s*1\s*\)/,
    message: ([, end]) => `This range reaches \`${end}\` itself, one past the last index.`,
  },
  {
    pattern: /\bfor\s*\(\s*(?:let|var|int)?\s*(\w+)\s*=\s*1\s*;\s*\1\s*<\s*([\w$.]+\.length)\b/,
    message: ([, index]) => `\`${index}\` starts at 1, so the element at index 0 is never visited. Is that meant?`,
  },
  {
    pattern: /(?<![=!<>])([!=]=)(?!=)\s*null\b/,
    files: scriptFiles,
    message: ([, operator]) =>
      `\`${operator} null\` treats \`undefined\` like \`null\`. If only one of them is meant, \`${operator}=\` says so.`,
  },
  {
    pattern: /(?<![\w.$])(eval\s*\(|new Function\s*\()/,
    message: ([, call]) => `\`${call}\` runs text as code. Where can that text come from?`,
  },
  {
    pattern: /\b(?:if|while)\s*\(\s*([A-Za-z_$][\w$.]*)\s*=(?![=>])/,
    files: bracedFiles,
    message: ([, name]) => `A single \`=\` assigns to \`${name}\` here instead of comparing it.`,
  },
  {
    pattern: /(?<![\w$.)\]])([A-Za-z_$][\w$.]*)\s*(?:[!=]==?|[<>]=?)\s*\1(?![\w$.([])/,
    message: ([compared]) => `\`${compared}\` compares something with itself.`,
  },
];

// A longer line is generated code, and would cost the patterns time.
const LINE_CHARS_MAX = 500;
const leftover = /\b(TODO|FIXME|XXX)\b/;
const comparison = /=>|<<|>>|[!=]==?|[<>]=?/g;

/** What simple rules see in the added lines of one file, by line. */
export function findingsIn(file: DiffFile): Finding[] {
  const isCode = codeFiles.test(file.path);
  const findings = file.hunks.flatMap((hunk) =>
    hunk.flatMap((line, index) => {
      if (line.kind !== "added") {
        return [];
      }
      const messages = [leftoverIn(line), ...(isCode ? messagesFor(file.path, hunk, index) : [])];
      return messages.filter((message) => message !== null).map((message) => finding(file, line, message));
    }),
  );
  return findings.toSorted((a, b) => a.line - b.line);
}

function finding(file: DiffFile, line: DiffLine, message: string): Finding {
  return { path: file.path, line: line.line, message, code: line.text.trim() };
}

function leftoverIn({ text }: DiffLine): string | null {
  const found = leftover.exec(text);
  return found === null ? null : `This adds a \`${found[1]}\`.`;
}

function messagesFor(path: string, hunk: DiffLine[], index: number): (string | null)[] {
  const code = codeOf(hunk[index]?.text ?? "", path);
  if (code.length > LINE_CHARS_MAX) {
    return [];
  }
  const broken = rules
    .filter((rule) => rule.files === undefined || rule.files.test(path))
    .map((rule) => ({ rule, found: rule.pattern.exec(code) }))
    .map(({ rule, found }) => (found === null ? null : rule.message(found)));
  return [...broken, changedComparison(hunk, index), uncheckedDivision(path, hunk, index)];
}

/** The line without the insides of strings and without comments, so that no rule reads prose. */
function codeOf(text: string, path: string): string {
  const withoutStrings = text.replaceAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`/g, '""');
  const comment = path.endsWith(".py") || path.endsWith(".rb") ? /#.*$/ : /\/\/.*$|\/\*.*$|^\s*\*.*$/;
  return withoutStrings.replace(comment, "");
}

/** A line that replaced one which differs from it in its comparison only. */
function changedComparison(hunk: DiffLine[], index: number): string | null {
  const firstAdded = hunk.findLastIndex((line, at) => at < index && line.kind !== "added") + 1;
  const firstRemoved = hunk.findLastIndex((line, at) => at < firstAdded && line.kind !== "removed") + 1;
  const before = hunk[firstRemoved + index - firstAdded];
  const after = hunk[index];
  if (before?.kind !== "removed" || after === undefined || before.text === after.text) {
    return null;
  }
  if (before.text.replaceAll(comparison, "?").trim() !== after.text.replaceAll(comparison, "?").trim()) {
    return null;
  }
  const [was, is] = [before, after].map((line) => line.text.match(comparison) ?? []);
  const at = was?.findIndex((operator, each) => operator !== is?.[each]) ?? -1;
  return at === -1
    ? null
    : `The comparison was \`${was?.[at]}\` and is now \`${is?.[at]}\`; nothing else on the line changed.`;
}

function uncheckedDivision(path: string, hunk: DiffLine[], index: number): string | null {
  const shown = hunk.slice(0, index + 1).filter((line) => line.kind !== "removed");
  const code = codeOf(hunk[index]?.text ?? "", path);
  const found = /(?<!\b(?:return|case|typeof)\s*)(?<=[\w)\]]\s*)\/\s*([A-Za-z_$][\w$.]*(?:\([\w.]*\))?)/.exec(code);
  const divisor = found?.[1];
  // A name in capitals is a constant.
  if (divisor === undefined || /^[A-Z\d_.]+$/.test(divisor)) {
    return null;
  }
  const name = divisor.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const check = new RegExp(
    `${name}\\s*(?:[!=]==?|[<>]=?|\\|\\||\\?)|(?:!|\\bif\\s*\\(?\\s*|\\bnot\\s+)${name}(?![\\w$])`,
  );
  return shown.some((line) => check.test(codeOf(line.text, path)))
    ? null
    : `This divides by \`${divisor}\`, and none of the lines shown above checks that it is not zero.`;
}
