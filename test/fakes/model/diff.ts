export interface DiffLine {
  readonly kind: "added" | "removed" | "context";
  /** In the new file; for a removed line, in the old one. Counted from 1. */
  readonly line: number;
  readonly text: string;
}

export interface DiffFile {
  readonly path: string;
  readonly change: "added" | "deleted" | "renamed" | "modified";
  readonly isBinary: boolean;
  readonly hunks: DiffLine[][];
  readonly added: number;
  readonly removed: number;
}

export interface Diff {
  readonly files: DiffFile[];
  /** Whether part of the diff is missing: Codex takes out the middle of what is too long. */
  readonly isShortened: boolean;
}

type Change = DiffFile["change"];

interface OpenFile {
  path: string;
  change: Change;
  isBinary: boolean;
  hunks: DiffLine[][];
}

interface OpenHunk {
  lines: DiffLine[];
  oldLine: number;
  newLine: number;
  oldLeft: number;
  newLeft: number;
}

// More than a report of Codex can hold; keeps a hostile one from costing time.
const LINES_MAX = 100_000;
const shortened = /^Warning: truncated output|…\d+ (?:tokens|chars|lines) truncated…/;

/**
 * Reads what `git diff` printed. Line numbers come from the hunk headers, and a hunk is left at its first line that
 * does not belong to it: nothing is attributed to a file or line that the text does not name.
 */
export function parseDiff(text: string): Diff {
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  const files: OpenFile[] = [];
  let file: OpenFile | null = null;
  let hunk: OpenHunk | null = null;
  let isShortened = lines.length > LINES_MAX;
  for (const line of lines.slice(0, LINES_MAX)) {
    if (shortened.test(line)) {
      isShortened = true;
      file = null;
      hunk = null;
    } else if (hunk !== null && takeLine(hunk, line)) {
      hunk = hunk.oldLeft === 0 && hunk.newLeft === 0 ? null : hunk;
    } else if (line.startsWith("diff --git ")) {
      isShortened ||= hunk !== null;
      file = { path: pathInHeader(line), change: "modified", isBinary: false, hunks: [] };
      hunk = null;
      files.push(file);
    } else if (file !== null) {
      isShortened ||= hunk !== null;
      hunk = openHunk(line);
      if (hunk === null) {
        readFileHeader(file, line);
      } else {
        file.hunks.push(hunk.lines);
      }
    }
  }
  return { files: files.map((each) => withCounts(each)), isShortened: isShortened || hunk !== null };
}

/** Takes the line into the hunk, if it belongs there. */
function takeLine(hunk: OpenHunk, line: string): boolean {
  const text = line.slice(1);
  const mark = line.charAt(0);
  if (mark === "+" && hunk.newLeft > 0) {
    hunk.lines.push({ kind: "added", line: hunk.newLine++, text });
    hunk.newLeft -= 1;
    return true;
  }
  if (mark === "-" && hunk.oldLeft > 0) {
    hunk.lines.push({ kind: "removed", line: hunk.oldLine++, text });
    hunk.oldLeft -= 1;
    return true;
  }
  if (mark === " " && hunk.oldLeft > 0 && hunk.newLeft > 0) {
    hunk.lines.push({ kind: "context", line: hunk.newLine++, text });
    hunk.oldLine += 1;
    hunk.oldLeft -= 1;
    hunk.newLeft -= 1;
    return true;
  }
  return mark === "\\";
}

function openHunk(line: string): OpenHunk | null {
  const header = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
  if (header === null) {
    return null;
  }
  return {
    lines: [],
    oldLine: Number(header[1]),
    oldLeft: Number(header[2] ?? 1),
    newLine: Number(header[3]),
    newLeft: Number(header[4] ?? 1),
  };
}

function readFileHeader(file: OpenFile, line: string): void {
  const [, field, value] = /^(--- |\+\+\+ |rename to |new file mode |deleted file mode )(.*)$/.exec(line) ?? [];
  if (field === "--- " || field === "+++ ") {
    const path = unquote((value ?? "").replace(/\t$/, ""));
    file.path = path === "/dev/null" ? file.path : path.replace(/^[ab]\//, "");
  } else if (field === "rename to ") {
    file.path = unquote(value ?? "");
    file.change = "renamed";
  } else if (field !== undefined) {
    file.change = field === "new file mode " ? "added" : "deleted";
  } else if (line.startsWith("Binary files ") || line === "GIT binary patch") {
    file.isBinary = true;
  }
}

/** The path in `diff --git a/P b/P`, for files that have no other line to say it. */
function pathInHeader(line: string): string {
  const names = line.slice("diff --git ".length);
  const quoted = /^"(?:[^"\\]|\\.)*" ("b\/(?:[^"\\]|\\.)*")$/.exec(names);
  if (quoted?.[1] !== undefined) {
    return unquote(quoted[1]).slice("b/".length);
  }
  return names.slice((names.length + 1) / 2).replace(/^b\//, "");
}

/** Git quotes a path with special characters as in C, its bytes in octal. */
function unquote(path: string): string {
  if (!path.startsWith('"') || !path.endsWith('"')) {
    return path;
  }
  const plain: Record<string, string> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };
  const bytes = [...path.slice(1, -1).matchAll(/\\([0-7]{3})|\\(.)|([^\\]+)/gs)].map(([, octal, escaped, text]) =>
    octal === undefined
      ? Buffer.from(text ?? plain[escaped ?? ""] ?? escaped ?? "")
      : Buffer.of(Number.parseInt(octal, 8)),
  );
  return Buffer.concat(bytes).toString("utf8");
}

function withCounts(file: OpenFile): DiffFile {
  const lines = file.hunks.flat();
  return {
    ...file,
    added: lines.filter((line) => line.kind === "added").length,
    removed: lines.filter((line) => line.kind === "removed").length,
  };
}
