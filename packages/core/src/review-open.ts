import type { PlacedFinding, PlacedReview } from "./review-place.ts";

/** A comment on a line that is there, as far as a finding can be held against it. */
export interface FindingComment {
  /** Of `findingIdentity`; null where the comment says none. */
  readonly hash: string | null;
  /** Where GitHub shows it now; null when it is outdated. */
  readonly line: number | null;
}

/**
 * The text whose hash says that two findings are the same: file, side, the line's text, and the title, or what is to stand
 * there where a patch has no title. Where the line is may change.
 */
export function findingIdentity({ finding, side, text }: PlacedFinding): string {
  const what = finding.title === "" ? [finding.title, finding.suggestion] : [finding.title];
  return JSON.stringify([finding.path, side, text, ...what]);
}

/**
 * Which findings have a comment already. Each comment is one finding's: where some are the same, those on its very line go
 * first. Pure; findings times comments.
 */
export function matchFindings<Comment extends FindingComment>(
  findings: readonly PlacedFinding[],
  comments: readonly Comment[],
  hashOf: (identity: string) => string,
): ReadonlyMap<PlacedFinding, Comment> {
  const found = new Map<PlacedFinding, Comment>();
  const left = new Set(comments);
  const hashes = new Map(findings.map((one) => [one, hashOf(findingIdentity(one))]));
  const isOnLine = (one: PlacedFinding, { line }: Comment) => line === one.finding.line;
  for (const fits of [isOnLine, () => true]) {
    for (const [one, hash] of hashes) {
      const comment = found.has(one) ? undefined : [...left].find((other) => other.hash === hash && fits(one, other));
      if (comment !== undefined) {
        found.set(one, comment);
        left.delete(comment);
      }
    }
  }
  return found;
}

/** The same placing with these findings as open from before. */
export function placeOpen(placed: PlacedReview, open: { has(one: PlacedFinding): boolean }): PlacedReview {
  return {
    ...placed,
    inline: placed.inline.filter((one) => !open.has(one)),
    open: [...placed.open, ...placed.inline.filter((one) => open.has(one))],
  };
}
