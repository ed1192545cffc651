import type { Tried } from "./try-row.ts";

/** Readable in a window of a hundred columns. */
const WIDTHS = [3, 42, 11, 4, 36] as const;

/** A table of rows, with the reason below each that did not hold or was not tried. Cases are looks, unless it says of what. */
export function renderTable(rows: readonly Tried[]): string {
  const lines = [
    ...cells(["row", "attack", "cases", "held", "control"]),
    "-".repeat(WIDTHS.reduce((sum, width) => sum + width + 1, -1)),
    ...rows.flatMap(renderRow),
  ];
  return `${lines.join("\n")}\n`;
}

function renderRow({ id, attack, cases, unit, held, control, why }: Tried): string[] {
  const wanted = held === null ? "-" : control;
  const lines = cells([
    id,
    attack,
    held === null ? "-" : `${cases.toLocaleString("en-US")} ${unit}`,
    heldWord(held),
    wanted,
  ]);
  const reason = held === true ? [] : wrap(`${held === null ? "not tried: " : "NOT HELD: "}${why}`, 96 - 4);
  return [...lines, ...reason.map((line) => `    ${line}`)];
}

function heldWord(held: boolean | null): string {
  return held === null ? "-" : held ? "yes" : "NO";
}

function cells(texts: readonly string[]): string[] {
  const columns = texts.map((text, index) => wrap(text, WIDTHS[index] ?? 1));
  const height = Math.max(...columns.map((column) => column.length));
  return Array.from({ length: height }, (_, line) =>
    columns
      .map((column, index) => {
        const text = column[line] ?? "";
        const width = WIDTHS[index] ?? 1;
        return text.padEnd(width);
      })
      .join(" ")
      .trimEnd(),
  );
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.replaceAll(/[^\x20-\x7e]+/g, "?").split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
    for (; line.length > width; line = line.slice(width)) {
      lines.push(line.slice(0, width));
    }
  }
  return [...lines, line];
}
