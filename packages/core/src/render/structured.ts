import { limits } from "../limits.ts";
import { readStructured, sayMisfit, structuredMisfit } from "../output-misfit.ts";
import type { Result } from "../result.ts";
import { cleanText } from "../safe-output/characters.ts";
import { count } from "./text.ts";

/** Kept free for the words above and the fence. */
const SPARE_CHARS = 200;

/** What is no letter, sign or blank, and the ends of lines that only some programs know. In JSON they may all be escaped. */
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;

/**
 * Structured output laid out for a person: the same data (its letters composed), with whatever nobody can see escaped and
 * nothing that could end a fence. Null if it is no strict JSON within the bounds. Still hostile in what it says. Never throws.
 */
export function layOutStructured(text: string): string | null {
  const read = readStructured(text);
  if (!read.ok) {
    return null;
  }
  const lines = JSON.stringify(read.value, null, 2).split("\n");
  // Backticks stand in texts alone, where they may be escaped like any character.
  const shown = lines.map((line) => line.replace(HIDDEN, escaped).replace(/`{3,}/g, escaped));
  return cleanText(shown.join("\n")).text;
}

/**
 * Structured output as the details of a check: one fenced block, or why there is none. What does not fit the task's schema is
 * not shown as data. At most `limits.commentCharsMax`.
 */
export function renderStructured(structured: Result["structured"], schema: string | null): string {
  if (structured === null || structured.state === "withheld") {
    const why = structured === null ? "absent" : structured.why.replaceAll("_", " ");
    return `There is no structured output: the machine did not return it (${why}).`;
  }
  const text = layOutStructured(structured.text);
  if (text === null) {
    return "The structured output is not shown: it is no JSON that can be read in one way only.";
  }
  const misfit = structuredMisfit(schema, structured);
  if (misfit !== null) {
    return `The structured output is not shown: it does not fit the task's output schema: ${sayMisfit(misfit)}.`;
  }
  if (text.length > limits.commentCharsMax - SPARE_CHARS || text.split("\n").length > limits.commentLinesMax) {
    return `The structured output is not shown: it is too long (${count(text.length)} characters).`;
  }
  return `Structured output, written by a machine:\n\n\`\`\`json\n${text}\n\`\`\``;
}

function escaped(text: string): string {
  return text
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}
