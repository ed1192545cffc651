/**
 * True when the pattern describes the whole value. `*` stands for any characters but `/`; nothing else is special.
 * Case counts: fold both sides first where GitHub does not tell cases apart. Bound: time is at most the product of
 * the two lengths, without the blow-up of a backtracking expression.
 */
export function matchesGlob(pattern: string, value: string): boolean {
  let p = 0;
  let v = 0;
  let star = -1;
  let resume = 0;
  while (v < value.length) {
    if (pattern[p] === "*") {
      star = p++;
      resume = v;
    } else if (pattern[p] === value[v]) {
      p++;
      v++;
    } else if (star >= 0 && value[resume] !== "/") {
      p = star + 1;
      v = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") {
    p++;
  }
  return p === pattern.length;
}

/** The same without regard to case, as GitHub compares labels, owners and repositories. */
export function matchesAnyFolded(patterns: readonly string[], value: string): boolean {
  return patterns.some((pattern) => matchesGlob(pattern.toLowerCase(), value.toLowerCase()));
}
