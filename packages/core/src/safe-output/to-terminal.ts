// oxlint-disable-next-line no-control-regex -- controls are what this looks for
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\p{Zl}\p{Zp}]/gu;

/**
 * Hostile text as a terminal may show it: newlines (CRLF too) and tabs stay, every other control becomes `\x1b`, every
 * invisible or reordering code point `\u{202e}`. Nothing is lost, nothing commands the terminal. Linear in the text.
 */
export function toTerminal(text: string): string {
  return text
    .replace(/\r\n/g, "\n")
    .replace(CONTROL, (c) => `\\x${(c.codePointAt(0) ?? 0).toString(16).padStart(2, "0")}`)
    .replace(INVISIBLE, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
}
