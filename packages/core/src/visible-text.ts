/**
 * Characters that a reader does not see but a model reads: controls, format and direction marks, zero-width and tag
 * characters, variation selectors, fillers, private use, noncharacters, lone surrogates, and the two Unicode line ends.
 * Tab and newline stay.
 */
const INVISIBLE =
  /(?![\t\n])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/gu;
/** These shape an emoji that a reader does see: they go as well, but are nobody's attempt to hide. */
const EMOJI_SHAPING = /(?<=\p{Extended_Pictographic})[\uFE0F\u200D]+/gu;
const COMMENT_BEGIN = "<!--";
const COMMENT_END = "-->";

/**
 * The text as a person reading it on GitHub sees it, as far as that goes: without invisible characters and without
 * HTML comments, and how many characters were hidden that way. Line ends become `\n`. Linear in the text's length.
 */
export function visibleText(text: string): { readonly text: string; readonly hidden: number } {
  // Comments first, as the page's reader finds them: an invisible character within `-->` keeps one open. Then those that
  // appear once such characters are gone.
  const comments = withoutComments(text);
  const characters = withoutInvisible(comments.text);
  const rest = withoutComments(characters.text);
  return { text: rest.text, hidden: comments.hidden + characters.hidden + rest.hidden };
}

/** The same, but comments stay: for texts that people read as source. */
export function withoutInvisible(text: string): { readonly text: string; readonly hidden: number } {
  let hidden = 0;
  const shown = text
    .replaceAll("\r\n", "\n")
    .replace(EMOJI_SHAPING, "")
    .replace(INVISIBLE, () => {
      hidden++;
      return "";
    });
  return { text: shown, hidden };
}

/** A comment leaves a space, lest what stood around it join into a new one. One without an end hides all that follows. */
function withoutComments(text: string): { text: string; hidden: number } {
  const parts: string[] = [];
  let hidden = 0;
  let from = 0;
  for (let begin = text.indexOf(COMMENT_BEGIN); begin >= 0; begin = text.indexOf(COMMENT_BEGIN, from)) {
    const end = text.indexOf(COMMENT_END, begin + COMMENT_BEGIN.length - 2);
    const after = end < 0 ? text.length : end + COMMENT_END.length;
    parts.push(text.slice(from, begin), " ");
    hidden += after - begin;
    from = after;
  }
  return { text: parts.join("") + text.slice(from), hidden };
}
