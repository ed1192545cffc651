/** Edits that are looked for; what differs more is shown as taken out and put in. Its square bounds the memory. */
const EDITS_MAX = 1_000;
/** As in git. */
const CONTEXT_LINES = 3;

/** One line of a diff. `text` has its line feed, unless it is the last one and has none. */
export interface DiffLine {
  readonly kind: " " | "-" | "+";
  readonly text: string;
}

/** The lines of two texts, as what stayed, went and came. Bounded; within the bound the shortest such list. */
export function diffLines(before: string, after: string): DiffLine[] {
  const a = linesOf(before);
  const b = linesOf(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) {
    start++;
  }
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) {
    end++;
  }
  const inner = [a.slice(start, a.length - end), b.slice(start, b.length - end)] as const;
  const middle = shortest(...inner) ?? [...as("-", inner[0]), ...as("+", inner[1])];
  return [...as(" ", a.slice(0, start)), ...middle, ...as(" ", a.slice(a.length - end))];
}

/** The hunks of a diff as git writes them, without the names above them; empty if nothing changed. */
export function renderHunks(lines: readonly DiffLine[]): string {
  const isNear = nearChanges(lines);
  const out: string[] = [];
  let [before, after] = [1, 1];
  for (let index = 0; index < lines.length;) {
    let end = index;
    while (end < lines.length && isNear[end] === isNear[index]) {
      end++;
    }
    const part = lines.slice(index, end);
    const sizes = [part.filter(({ kind }) => kind !== "+").length, part.filter(({ kind }) => kind !== "-").length];
    const [old = 0, now = 0] = sizes;
    if (isNear[index] === true) {
      out.push(`@@ -${range(before, old)} +${range(after, now)} @@\n`, ...part.map(renderLine));
    }
    [before, after, index] = [before + old, after + now, end];
  }
  return out.join("");
}

function nearChanges(lines: readonly DiffLine[]): boolean[] {
  const near = Array.from(lines, () => false);
  lines.forEach(({ kind }, index) => {
    if (kind !== " ") {
      near.fill(true, Math.max(index - CONTEXT_LINES, 0), index + CONTEXT_LINES + 1);
    }
  });
  return near;
}

function range(start: number, size: number): string {
  return `${size === 0 ? start - 1 : start},${size}`;
}

function renderLine({ kind, text }: DiffLine): string {
  return text.endsWith("\n") ? `${kind}${text}` : `${kind}${text}\n\\ No newline at end of file\n`;
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.split(/(?<=\n)/);
}

function as(kind: DiffLine["kind"], texts: readonly string[]): DiffLine[] {
  return texts.map((text) => ({ kind, text }));
}

/** Myers' greedy algorithm (An O(ND) Difference Algorithm, 1986); null if there are more edits than are looked for. */
function shortest(a: readonly string[], b: readonly string[]): DiffLine[] | null {
  const most = Math.min(a.length + b.length, EDITS_MAX);
  const middle = most + 1;
  const reached = new Int32Array(2 * most + 3);
  const rounds: Int32Array[] = [];
  for (let edits = 0; edits <= most; edits++) {
    rounds.push(reached.slice(middle - edits - 1, middle + edits + 2));
    for (let k = -edits; k <= edits; k += 2) {
      const below = reached[middle + k + 1] ?? 0;
      const left = reached[middle + k - 1] ?? 0;
      let x = k === -edits || (k !== edits && left < below) ? below : left + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) {
        x++;
      }
      reached[middle + k] = x;
      if (x >= a.length && x - k >= b.length) {
        return wayBack(a, b, rounds);
      }
    }
  }
  return null;
}

function wayBack(a: readonly string[], b: readonly string[], rounds: readonly Int32Array[]): DiffLine[] {
  const lines: DiffLine[] = [];
  let [x, y] = [a.length, b.length];
  for (let edits = rounds.length - 1; edits >= 0; edits--) {
    const at = (k: number) => rounds[edits]?.[k + edits + 1] ?? 0;
    const k = x - y;
    const from = k === -edits || (k !== edits && at(k - 1) < at(k + 1)) ? k + 1 : k - 1;
    const [fromX, fromY] = edits === 0 ? [0, 0] : [at(from), at(from) - from];
    while (x > fromX && y > fromY) {
      lines.push({ kind: " ", text: a[--x] ?? "" });
      y--;
    }
    if (edits > 0) {
      lines.push(from === k + 1 ? { kind: "+", text: b[--y] ?? "" } : { kind: "-", text: a[--x] ?? "" });
    }
  }
  return lines.reverse();
}
