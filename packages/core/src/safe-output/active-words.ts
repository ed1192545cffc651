import { defang, isAllowedLink, type LinkScope } from "./links.ts";
import type { TextRuleCode } from "./rules.ts";

/** A stretch of text after the words that GitHub (or another bot) would act on were taken out of it. */
export interface Segment {
  readonly kind: "text" | "code" | "link";
  readonly value: string;
}

/** Closing keywords, at the end of the text before a reference. */
const KEYWORD = /(?<![\p{L}\p{N}_])(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s*$/iu;
/** Quotes, brackets, marks of emphasis and stops around a word stay outside its code span. */
const AROUND_START = "(\"'“‘[{<«*_~|";
const AROUND_END = ")]}>\"'”’»*_~|.,;:!?";

/** Each makes a word active: what it is for is in its comment. The first that fits names the rule. One place, so that the check afterwards asks the same. */
const ACTIVE: readonly { readonly code: TextRuleCode; readonly pattern: RegExp }[] = [
  /** URLs of every scheme, and relative to one. */
  { code: "E_LINK", pattern: /:\/\/|^[("'“‘[{<«*_~|]*\/\/./u },
  /** `@name`, `@org/team`, `user@sha`, every e-mail address. */
  { code: "E_MENTION", pattern: /@/ },
  /** `#123`, `owner/repo#123`. */
  { code: "E_REFERENCE", pattern: /#\p{N}/u },
  /** `GH-123`. */
  { code: "E_REFERENCE", pattern: /(?<![a-z0-9])gh-\d/i },
  /** Bare commits. */
  { code: "E_REFERENCE", pattern: /(?<![0-9a-z])[0-9a-f]{7,64}(?![0-9a-z])/i },
  /** Slash commands; paths from the root. */
  { code: "E_SLASH", pattern: /^[("'“‘[{<«*_~|]*\/./u },
  /** Workflow commands. */
  { code: "E_WORKFLOW", pattern: /^::|##\[/ },
  /** Schemes that need no slashes. */
  { code: "E_LINK", pattern: /(?<![a-z0-9])(?:mailto|xmpp|javascript|vbscript|data|file|tel|sms|ftp|https?):/i },
  /** Domains, with `www.` or without; a file name is one to many programs. */
  { code: "E_LINK", pattern: /[^\s.]\.\p{L}{2}|www\.|(?<![a-z0-9])localhost/iu },
  /** `:shipit:` becomes a picture. */
  { code: "E_MARKDOWN", pattern: /:(?!\d+:)[a-z0-9_+-]+:/i },
  /** Mathematics. */
  { code: "E_MARKDOWN", pattern: /\$/ },
  /** `[!NOTE]` becomes a frame that looks like ours. */
  { code: "E_MARKDOWN", pattern: /\[!\p{L}+\]/u },
];

/**
 * Cuts text into plain stretches and words that would do something: those become code spans (URLs defanged), or links
 * where the rules allow one. Works on whole words between blanks, so that nothing beside an active part is left to act.
 *
 * @param note Told the rule, once for each word that is made harmless.
 */
export function splitActive(text: string, scope: LinkScope, note: (code: TextRuleCode) => void): Segment[] {
  const segments: Segment[] = [];
  for (const word of text.split(/(\s+)/)) {
    const code = word === "" ? null : ruleFor(word);
    if (code === null) {
      add(segments, "text", word);
      continue;
    }
    const { before, core, after } = trim(word);
    add(segments, "text", before);
    if (isAllowedLink(core, scope)) {
      takeKeyword(segments, note);
      add(segments, "link", core);
    } else {
      const keyword = /#\p{N}|gh-\d|:\/\//iu.test(core) ? popKeyword(segments, note) : "";
      note(code);
      add(segments, "code", `${keyword}${isUrl(core) ? defang(core) : core}`);
    }
    add(segments, "text", after);
  }
  return segments;
}

/** True if GitHub or another bot could act on the word, or on the word and what follows in the next node. */
export function isActive(word: string): boolean {
  return ruleFor(word) !== null;
}

function ruleFor(word: string): TextRuleCode | null {
  return ACTIVE.find(({ pattern }) => pattern.test(word))?.code ?? null;
}

/** The closing keyword that the text ends with, and what is before it; null if there is none. */
export function endingKeyword(text: string): { readonly before: string; readonly keyword: string } | null {
  const match = KEYWORD.exec(text.slice(-KEYWORD_CHARS_MAX));
  if (match === null) {
    return null;
  }
  const at = text.length - match[0].length;
  return { before: text.slice(0, at), keyword: match[0] };
}

/** The longest keyword, and blanks. A bound, so that looking for one costs the same however long the text is. */
const KEYWORD_CHARS_MAX = 40;

function isUrl(word: string): boolean {
  return /:\/\/|^www\.|^\/\/|^(?:javascript|vbscript|data|file):/i.test(word);
}

/** Brackets and punctuation come off, unless what is left is no longer active. */
function trim(word: string): { before: string; core: string; after: string } {
  let start = 0;
  let end = word.length;
  while (start < end && AROUND_START.includes(word.charAt(start))) {
    start += 1;
  }
  while (end > start && AROUND_END.includes(word.charAt(end - 1))) {
    end -= 1;
  }
  const [before, core, after] = [word.slice(0, start), word.slice(start, end), word.slice(end)];
  return isActive(core) && !isActive(before) && !isActive(after)
    ? { before, core, after }
    : { before: "", core: word, after: "" };
}

function takeKeyword(segments: Segment[], note: (code: TextRuleCode) => void): void {
  const keyword = popKeyword(segments, note);
  if (keyword !== "") {
    add(segments, "code", keyword.trimEnd());
    add(segments, "text", " ");
  }
}

function popKeyword(segments: Segment[], note: (code: TextRuleCode) => void): string {
  const last = segments.at(-1);
  const found = last?.kind === "text" ? endingKeyword(last.value) : null;
  if (found === null) {
    return "";
  }
  segments.pop();
  note("E_CLOSING");
  add(segments, "text", found.before);
  return found.keyword.replace(/\s+/g, " ");
}

/** Neighbours of one kind become one segment: two code spans side by side would be read as one broken one. */
function add(segments: Segment[], kind: Segment["kind"], value: string): void {
  if (value === "") {
    return;
  }
  const last = segments.at(-1);
  if (last !== undefined && last.kind === kind && kind !== "link") {
    segments[segments.length - 1] = { kind, value: last.value + value };
  } else {
    segments.push({ kind, value });
  }
}
