/** What was taken out of a text or made harmless: counts, for the record. */
export interface Removed {
  /** Terminal sequences and control characters. */
  controls: number;
  /** Invisible, reordering and private code points. */
  invisible: number;
  images: number;
  /** Links to anywhere but the repository; their text stays. */
  links: number;
  /** Raw HTML, shown as text. */
  html: number;
  /** Mentions, references, bare URLs, commands: whatever would have acted as plain text. */
  mentions: number;
  truncatedChars: number;
}

export function nothingRemoved(): Removed {
  return { controls: 0, invisible: 0, images: 0, links: 0, html: 0, mentions: 0, truncatedChars: 0 };
}
