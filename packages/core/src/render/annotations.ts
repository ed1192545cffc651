import { type Finding, type Review, severities } from "../review.ts";
import { cleanText } from "../safe-output/characters.ts";
import { oneLine } from "./text.ts";

/** A note beside lines of the commit, as GitHub takes it in a check run. Its words are plain text there. */
export interface CheckAnnotation {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  readonly annotation_level: "notice" | "warning" | "failure";
  readonly title: string;
  readonly message: string;
}

/** GitHub shows one line of a title; it takes 255 characters. */
const TITLE_CHARS_MAX = 200;
/** A message is read beside the code; GitHub takes 64 KiB. */
const MESSAGE_CHARS_MAX = 8_000;

const levels = {
  critical: "failure",
  high: "failure",
  medium: "warning",
  low: "notice",
  info: "notice",
} as const satisfies Record<Finding["severity"], CheckAnnotation["annotation_level"]>;

/**
 * A review's findings as annotations, most severe first, as many as a review may have. None for a line that the commit no
 * longer has, since annotations know the new side alone, and none for a path that names no file of a repository. The same
 * review gives the same list, so what is there already can be counted.
 */
export function renderAnnotations({ findings }: Review): CheckAnnotation[] {
  return severities.flatMap((severity) =>
    findings
      .filter((finding) => finding.severity === severity && finding.side !== "LEFT" && isFilePath(finding.path))
      .map(annotationOf),
  );
}

function annotationOf({ path, line, start_line: start, severity, title, body }: Finding): CheckAnnotation {
  const message = cleanText(body.slice(0, MESSAGE_CHARS_MAX)).text.trim();
  const shownTitle = oneLine(title, TITLE_CHARS_MAX);
  return {
    path,
    start_line: start === null ? line : Math.min(start, line),
    end_line: line,
    annotation_level: levels[severity],
    title: `${severity}: ${shownTitle}`,
    // GitHub wants one.
    message: message === "" ? shownTitle || severity : message,
  };
}

/** Whether it can name a file of a repository, and says nothing else on the way. */
export function isFilePath(path: string): boolean {
  const isPlain = cleanText(path).text === path && !/[\\\n\t]/.test(path);
  return isPlain && path.split("/").every((name) => name !== "" && name !== "." && name !== "..");
}
