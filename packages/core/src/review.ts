import { z } from "zod";
import { limits } from "./limits.ts";
import { readStrictJson } from "./strict-json.ts";

/** Most severe first. */
export const severities = ["critical", "high", "medium", "low", "info"] as const;
/** What Codex makes of the whole change. It approves nothing. */
export const verdicts = ["no_problems", "minor_problems", "serious_problems"] as const;

/** Findings of one answer that are read; more than these nobody reads. */
const FINDINGS_MAX = 100;
/** GitHub's own bound is Linux's: a path is no longer. */
const PATH_CHARS_MAX = 4_096;
/** One line above a comment. */
const TITLE_CHARS_MAX = 300;
/** A comment that explains one finding; a comment on GitHub takes 65,536. */
const BODY_CHARS_MAX = 8_000;
/** Lines that one finding would have changed: more is a patch. */
const SUGGESTION_CHARS_MAX = 4_000;
const SUMMARY_CHARS_MAX = 16_000;
/** No file that a diff shows has more. */
const LINE_MAX = 10_000_000;
/** The review, its list, a finding. */
const DEPTH_MAX = 3;
/** Names and values: eight of each in a finding, and those around them. */
const VALUES_MAX = FINDINGS_MAX * 20 + 20;

const line = z.int().min(1).max(LINE_MAX);

const Finding = z.strictObject({
  path: z.string().min(1).max(PATH_CHARS_MAX),
  line,
  /** The first line of several; null for one line. */
  start_line: line.nullable(),
  /** The file as it was (LEFT) or as it is now (RIGHT, also for null). */
  side: z.enum(["LEFT", "RIGHT"]).nullable(),
  severity: z.enum(severities),
  title: z.string().min(1).max(TITLE_CHARS_MAX),
  body: z.string().max(BODY_CHARS_MAX),
  /** What the lines should say instead. */
  suggestion: z.string().max(SUGGESTION_CHARS_MAX).nullable(),
});
export type Finding = z.infer<typeof Finding>;

const Review = z.strictObject({
  summary: z.string().max(SUMMARY_CHARS_MAX),
  verdict: z.enum(verdicts),
  findings: z.array(Finding).max(FINDINGS_MAX),
});
/** What a task with `publish: review` answers. Hostile, for all its shape. */
export type Review = z.infer<typeof Review>;

/** What a review on GitHub is made of: a task's answer, or a patch as suggestions, which judges nothing and has no titles. */
export type ReviewWords = Omit<Review, "verdict"> & { readonly verdict: Review["verdict"] | null };

/**
 * The JSON Schema that such a task gets if it sets none. The model's API wants every property required and none besides,
 * and takes no bounds of texts: those are looked at here alone.
 */
export const reviewSchema: string = JSON.stringify(
  objectOf({
    summary: { type: "string", description: "What the change does and what stands out, in Markdown." },
    verdict: { type: "string", enum: verdicts },
    findings: {
      type: "array",
      items: objectOf({
        path: { type: "string", description: "The file, from the repository's root." },
        line: { type: "integer", description: "The line of the file, or the last one of several." },
        start_line: { type: ["integer", "null"], description: "The first line of several." },
        side: { type: ["string", "null"], enum: ["LEFT", "RIGHT", null], description: "LEFT for a removed line." },
        severity: { type: "string", enum: severities },
        title: { type: "string", description: "The problem in one line." },
        body: { type: "string", description: "Why it is one, in Markdown." },
        suggestion: { type: ["string", "null"], description: "The new text of exactly these lines, without a fence." },
      }),
    },
  }),
);

/** The answer as a review; null if it is none: no strict JSON, or not of that shape and those bounds. Never throws. */
export function parseReview(text: string): Review | null {
  const read = readStrictJson(text, {
    depthMax: DEPTH_MAX,
    charsMax: limits.structuredBytesMax,
    valuesMax: VALUES_MAX,
  });
  const parsed = read.ok ? Review.safeParse(read.value) : null;
  return parsed?.success === true ? parsed.data : null;
}

/** Every text of a review, as it reads once its escapes are gone; together too, since a secret may be spread over them. */
export function textsOfReview({ summary, findings }: Review): string[] {
  const texts = [
    summary,
    ...findings.flatMap(({ path, title, body, suggestion }) => [path, title, body, suggestion ?? ""]),
  ].filter((text) => text !== "");
  return [...texts, texts.join("\n")];
}

function objectOf(properties: Readonly<Record<string, object>>): object {
  return { type: "object", additionalProperties: false, required: Object.keys(properties), properties };
}
