/** What happens where a rule is broken: a part of the text goes, is written so that it does nothing, or all of it stays away. */
export type RuleAct = "removed" | "rewritten" | "withheld" | "refused";

interface OutputRule {
  readonly act: RuleAct;
  /** The rule, and what becomes of what breaks it. */
  readonly words: string;
}

interface TextRule extends OutputRule {
  /** What is counted, one of it and several. */
  readonly counted: readonly [one: string, many: string];
}

/** The rules that one text is held to. Each is counted where it applied. Codes are stable. */
export const textRules = {
  E_SIZE: {
    act: "removed",
    words: "A comment has a bound in characters, in lines and in the length of a line; what is beyond is left out.",
    counted: ["character beyond the bound", "characters beyond the bound"],
  },
  E_CONTROL: {
    act: "removed",
    words: "Terminal sequences and control characters but for newline and tab are taken out.",
    counted: ["control character", "control characters"],
  },
  E_UNICODE: {
    act: "removed",
    words: "Invisible, reordering, private and impossible code points are taken out, and what is left is composed.",
    counted: ["invisible character", "invisible characters"],
  },
  E_IMAGE: {
    act: "removed",
    words: "There are no images in any form.",
    counted: ["image", "images"],
  },
  E_HTML: {
    act: "rewritten",
    words: "HTML and its comments are shown as text.",
    counted: ["piece of HTML", "pieces of HTML"],
  },
  E_MARKDOWN: {
    act: "rewritten",
    words: "Formatting beyond a short list, and what GitHub brings to life, is shown as plain text.",
    counted: ["piece of formatting", "pieces of formatting"],
  },
  E_LINK: {
    act: "rewritten",
    words:
      "Links lead to code, commits, issues and pull requests of the same repository; any other is text nobody can follow.",
    counted: ["link to elsewhere", "links to elsewhere"],
  },
  E_MENTION: {
    act: "rewritten",
    words: "Whatever has an @ in it stands in a code span, where it tells nobody.",
    counted: ["mention", "mentions"],
  },
  E_REFERENCE: {
    act: "rewritten",
    words: "Numbers of issues and ids of commits stand in code spans, where they leave no trace elsewhere.",
    counted: ["reference", "references"],
  },
  E_CLOSING: {
    act: "rewritten",
    words: "A word that closes issues stands in a code span when a reference follows it.",
    counted: ["closing word", "closing words"],
  },
  E_SLASH: {
    act: "rewritten",
    words: "Words that begin with a slash stand in code spans: other bots take them for commands.",
    counted: ["word with a slash before it", "words with a slash before them"],
  },
  E_WORKFLOW: {
    act: "rewritten",
    words: "Commands of workflow logs stand in code spans.",
    counted: ["workflow command", "workflow commands"],
  },
  E_FAILURE: {
    act: "withheld",
    words: "Where making a text safe fails, a fixed text stands in its place.",
    counted: ["text that could not be made safe", "texts that could not be made safe"],
  },
} as const satisfies Record<string, TextRule>;

export type TextRuleCode = keyof typeof textRules;

/** Every rule for what is published of a run. Codes are stable. */
export const outputRules = {
  ...textRules,
  E_FRAME: {
    act: "refused",
    words: "A result is one object of the known form and size, without any other key.",
  },
  E_SECRET: {
    act: "withheld",
    words: "If anything that came from the machine holds what looks like a credential, nothing of it is shown.",
  },
  E_FRAMING: {
    act: "rewritten",
    words: "The answer stands in a quote, between words of ours that it can neither end nor change.",
  },
  E_TARGET: {
    act: "refused",
    words: "Repository, number and comment are those of the run's own record; no result can name any.",
  },
  E_LIMIT: {
    act: "refused",
    words: "A task has one comment on a pull request, and a run one check; whatever is said again is said there.",
  },
  E_STALE: {
    act: "withheld",
    words: "If the head, the pull request or the right of who asked has changed, only that is shown.",
  },
} as const satisfies Record<string, OutputRule>;

export type OutputRuleCode = keyof typeof outputRules;

/** How often each rule applied to a text: only those that did. */
export type RuleCounts = Readonly<Partial<Record<TextRuleCode, number>>>;
