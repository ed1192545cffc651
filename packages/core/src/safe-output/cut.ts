/** How much text is taken over. */
export interface Room {
  readonly chars: number;
  readonly lines: number;
  readonly lineChars: number;
}

/** Cuts text to the room there is, each line and the whole; says how many characters were left out. */
export function cutText(text: string, room: Room): { text: string; leftOut: number } {
  const lines: string[] = [];
  let length = 0;
  for (const line of text.split("\n", room.lines)) {
    const kept = wellFormed(line, Math.min(room.lineChars, room.chars - length));
    lines.push(kept);
    length += kept.length + 1;
    if (length >= room.chars) {
      break;
    }
  }
  const kept = lines.join("\n");
  return { text: kept, leftOut: text.length - kept.length };
}

/** True if the text keeps within the room. */
export function fits(text: string, room: Room): boolean {
  const lines = text.split("\n");
  return (
    text.length <= room.chars && lines.length <= room.lines && lines.every((line) => line.length <= room.lineChars)
  );
}

/** Never half of a surrogate pair. */
function wellFormed(line: string, chars: number): string {
  const cut = line.slice(0, Math.max(0, chars));
  return cut.isWellFormed() ? cut : cut.slice(0, -1);
}
