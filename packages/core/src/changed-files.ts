import { limits } from "./limits.ts";

/** A file that a pull request changes, with the lines it adds and removes there. */
export interface ChangedFile {
  readonly path: string;
  /** Its path before, if it was renamed. */
  readonly before: string | null;
  readonly added: number;
  readonly removed: number;
}

/** How much a pull request changes in all. */
export interface DiffSize {
  readonly files: number;
  readonly added: number;
  readonly removed: number;
}

/** What is known of a pull request's difference. */
export interface KnownDiff {
  /** Those that differ, or the first of them: GitHub lists no more than limits.comparedFilesMax. */
  readonly files: readonly ChangedFile[];
  /** As GitHub counts it on the pull request; null where it does not say. */
  readonly size: DiffSize | null;
  /** False when head and base share no history: then GitHub compares nothing. */
  readonly isCompared: boolean;
}

/** Of one list in a prompt; the command that the prompt names shows all of them. */
const LIST_CHARS_MAX = 16_000;
const UNKNOWN = "(not known: the head shares no history with the base)";

/** True if there may be files that differ and are not among those listed. */
export function isPartial({ files, isCompared }: Omit<KnownDiff, "size">): boolean {
  return !isCompared || files.length >= limits.comparedFilesMax;
}

/** The paths that differ, one a line, and how many are left out. Bounded; whole lines only. */
export function listPaths(diff: KnownDiff): string {
  return diff.isCompared ? listed(diff, diff.files.map(nameOf)) : UNKNOWN;
}

/** How much differs in all, then in each file, and how many are left out. Bounded; whole lines only. */
export function listStat(diff: KnownDiff): string {
  if (!diff.isCompared) {
    return UNKNOWN;
  }
  const { files, added, removed } = sizeOf(diff);
  const all = `files: ${files}, lines added: ${added}, lines removed: ${removed}`;
  const lines = diff.files.map((file) => `+${file.added} -${file.removed} ${nameOf(file)}`);
  const each = listed(diff, lines);
  return each === "" ? all : `${all}\n${each}`;
}

/** As listed where all are, so that the sum fits the list; else as GitHub counts the pull request, if it does. */
function sizeOf(diff: KnownDiff): DiffSize {
  const { files, size } = diff;
  if (isPartial(diff) && size !== null && size.files >= files.length) {
    return size;
  }
  const sum = (count: (file: ChangedFile) => number) => files.reduce((all, file) => all + count(file), 0);
  return { files: files.length, added: sum(({ added }) => added), removed: sum(({ removed }) => removed) };
}

function listed(diff: KnownDiff, lines: readonly string[]): string {
  let chars = 0;
  const cutAt = lines.findIndex((line) => (chars += line.length + 1) > LIST_CHARS_MAX);
  const shown = cutAt < 0 ? lines : lines.slice(0, cutAt);
  const { files } = sizeOf(diff);
  // Exactly as many as GitHub lists are all of them, or only the first.
  const isAll = files === lines.length && (!isPartial(diff) || diff.size?.files === files);
  const why = cutAt < 0 ? "GitHub lists no more" : "the list is cut here";
  const of = isPartial(diff) && diff.size === null ? `more than ${lines.length - 1}` : String(files);
  return [...shown, ...(cutAt < 0 && isAll ? [] : [`(${shown.length} of ${of} files: ${why})`])].join("\n");
}

/** One line, whatever characters the name has. */
function nameOf({ path, before }: ChangedFile): string {
  const plain = (name: string) => (/[\p{Cc}"\\]/u.test(name) ? JSON.stringify(name) : name);
  return before === null ? plain(path) : `${plain(path)} (before: ${plain(before)})`;
}
