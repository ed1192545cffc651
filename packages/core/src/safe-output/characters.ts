/* oxlint-disable no-control-regex -- controls are what this file looks for */

/** Text without the characters that hide, reorder or command, and how many of them there were. */
export interface CleanText {
  readonly text: string;
  /** Terminal sequences and control characters taken out. */
  readonly controls: number;
  /** Invisible, reordering, private and impossible code points taken out. */
  readonly invisible: number;
}

/** Code points nobody can see or that are no characters: ignorable and format (bidi, tags, joiners, selectors), private, surrogates, noncharacters, and the two blank symbols no class names. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\u2800\uFFFC]/gu;
/** CSI, then OSC and the other strings with their end, then any two-character escape; 7- and 8-bit. */
const TERMINAL =
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,4096}(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]/g;
/** C0 but for tab and newline, DEL, C1. */
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;
/** More marks on one letter than any script writes: they would paint over the lines around. */
const MARK_PILE = /(\p{M}{8})\p{M}+/gu;

/**
 * Takes out terminal sequences, controls and invisible code points, makes every newline LF and every blank a space, and
 * composes (NFC). Linear in the text; a second pass changes nothing.
 */
export function cleanText(text: string): CleanText {
  let controls = 0;
  let invisible = 0;
  const countControl = () => {
    controls += 1;
    return "";
  };
  const countInvisible = () => {
    invisible += 1;
    return "";
  };
  const plain = text
    .replace(/\r\n?/g, "\n")
    .replace(TERMINAL, countControl)
    .replace(CONTROL, countControl)
    .replace(INVISIBLE, countInvisible)
    .replace(/[\p{Zs}\p{Zl}\p{Zp}]/gu, " ")
    .normalize("NFC")
    .replace(MARK_PILE, (_, kept: string) => {
      invisible += 1;
      return kept;
    });
  return { text: plain, controls, invisible };
}
