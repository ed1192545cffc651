const PATH_BYTES_MAX = 4_096;
const PART_BYTES_MAX = 255;

/** What nobody sees or what turns a line around: control, format, ignorable, line separators, private and unassigned. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
/** NTFS gives every longer name a short one, `.git` the name `git~1`, `.gitmodules` also `gi7eba~1`. */
const SHORT_NAME = /^[^.~]{1,8}~\d+(\.[^.]{0,3})?$/;

/**
 * Why a path may not be part of a patch, or null if it may: it must mean the same file on every system that checks it out,
 * and look like what it is.
 */
export function refusePath(path: string): string | null {
  if (!path.isWellFormed() || UNSEEN.test(path)) {
    return "it holds characters that nobody sees";
  }
  if (path.normalize("NFC") !== path) {
    return "it is not in Unicode's composed form (NFC)";
  }
  if (bytesIn(path) > PATH_BYTES_MAX) {
    return `it is longer than ${PATH_BYTES_MAX} bytes`;
  }
  for (const part of path.split("/")) {
    const why = refusePart(part);
    if (why !== null) {
      return why;
    }
  }
  return null;
}

function refusePart(part: string): string | null {
  if (part === "") {
    return "it has an empty part";
  }
  if (part === "." || part === "..") {
    return "it leads somewhere else";
  }
  if (bytesIn(part) > PART_BYTES_MAX) {
    return `one of its parts is longer than ${PART_BYTES_MAX} bytes`;
  }
  if (/[\\:]/.test(part)) {
    return "it holds a character that separates names on Windows";
  }
  // Windows leaves these away, so that `.git.` is `.git` there.
  if (/[. ]$/.test(part)) {
    return "one of its parts ends in a dot or a space";
  }
  if (SHORT_NAME.test(part)) {
    return "one of its parts is a short name of NTFS";
  }
  return foldPath(part) === ".git" ? "it leads into git's own folder" : null;
}

/** Two paths that some file system takes for the same have the same fold. */
export function foldPath(path: string): string {
  // Up and down again: some letters only meet there.
  return path.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
}

function bytesIn(text: string): number {
  return new TextEncoder().encode(text).length;
}
