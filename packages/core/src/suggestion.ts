/** Longer names are not compared: nobody mistypes one letter of a name this long, and the work is quadratic. */
const NAME_CHARS_MAX = 64;

/**
 * The name a person probably meant, or null when none is near: a third of the letters may differ, at least one.
 * Case and `_` against `-` do not count. Bound: 64 characters a name.
 */
export function nearest(name: string, among: readonly string[]): string | null {
  if (name.length === 0 || name.length > NAME_CHARS_MAX) {
    return null;
  }
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of among) {
    if (candidate.length > NAME_CHARS_MAX) {
      continue;
    }
    const distance = distanceOf(plain(name), plain(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** ` (did you mean "x"?)`, or nothing. */
export function didYouMean(name: string, among: readonly string[]): string {
  const near = nearest(name, among);
  return near === null ? "" : ` (did you mean "${near}"?)`;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** Insertions, deletions, replacements and swaps of neighbours between two short words. */
function distanceOf(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? at(before, j - 2) + 1 : Infinity;
      row.push(Math.min(at(last, j) + 1, at(row, j - 1) + 1, replaced, swapped));
    }
    before = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}
