import { type RuleCounts, type TextRuleCode, textRules } from "./rules.ts";

/** What was taken out of a text or made harmless, by the rule that wants it. */
export type Removed = Record<TextRuleCode, number>;

const codes = Object.keys(textRules) as TextRuleCode[];

export function nothingRemoved(): Removed {
  return Object.fromEntries(codes.map((code) => [code, 0])) as Removed;
}

/** Without the rules that found nothing, in the order of their table. */
export function countsOf(removed: Readonly<Removed>): RuleCounts {
  return Object.fromEntries(codes.flatMap((code) => (removed[code] === 0 ? [] : [[code, removed[code]]])));
}
