import { assertNever } from "../assert.ts";
import { type RuleAct, type RuleCounts, type TextRuleCode, textRules } from "../safe-output/rules.ts";
import { codeSpan, count } from "./text.ts";

/** `2 images (E_IMAGE)` of every rule that applied to the answer, what went before what was only rewritten; "" if none did. */
export function renderRemoved(counts: RuleCounts): string {
  const parts = acts.flatMap((act) => {
    const shown = Object.entries(counts)
      .filter(([code]) => textRules[code as TextRuleCode].act === act)
      .map(([code, times]) => counted(code as TextRuleCode, times));
    return shown.length === 0 ? [] : [`${wordsOf(act)}: ${shown.join(", ")}`];
  });
  return parts.join("; ");
}

const acts: readonly RuleAct[] = ["removed", "rewritten", "withheld", "refused"];

function wordsOf(act: RuleAct): string {
  switch (act) {
    case "rewritten":
      return "made harmless";
    case "removed":
    case "withheld":
    case "refused":
      return act;
    default:
      return assertNever(act);
  }
}

function counted(code: TextRuleCode, times: number): string {
  const [one, many] = textRules[code].counted;
  return `${count(times)} ${times === 1 ? one : many} (${codeSpan(code)})`;
}
