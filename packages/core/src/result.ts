import { z } from "zod";
import { limits } from "./limits.ts";
import { Change } from "./patch/change.ts";

/** Tokens as the CLI counts them over the whole conversation. */
export const Usage = z.strictObject({
  input_tokens: z.int().min(0),
  cached_input_tokens: z.int().min(0),
  output_tokens: z.int().min(0),
  reasoning_output_tokens: z.int().min(0),
});
export type Usage = z.infer<typeof Usage>;

/** Why something the agent was asked to bring is not there. */
export const Withheld = z.enum(["absent", "not_a_regular_file", "too_big", "not_utf8", "unreadable"]);
export type Withheld = z.infer<typeof Withheld>;

/** One output of an attempt: its text, or why there is none. */
function output(bytesMax: number) {
  return z.discriminatedUnion("state", [
    z.strictObject({ state: z.literal("present"), text: z.string().max(bytesMax) }),
    z.strictObject({ state: z.literal("withheld"), why: Withheld }),
  ]);
}

const Changes = z.discriminatedUnion("state", [
  z.strictObject({ state: z.literal("present"), files: z.array(Change).max(limits.patchFilesMax) }),
  z.strictObject({ state: z.literal("withheld"), why: Withheld }),
]);
/** The files that Codex changed, or why they are not there. */
export type Changes = z.infer<typeof Changes>;

/**
 * What an attempt returns: inert text and numbers. All of it is hostile: the agent that sent it may be the attacker.
 */
export const Result = z.strictObject({
  /** How Codex ended. `exit_code` is null when a signal or the deadline ended it. */
  codex: z.strictObject({
    version: z.string().max(64),
    exit_code: z.int().min(0).max(255).nullable(),
    ended_by: z.enum(["exit", "deadline", "stop", "signal"]),
    /** The last error the CLI reported, if it failed. */
    error: z.string().max(4_000).nullable(),
  }),
  final_message: output(limits.finalMessageBytesMax),
  /** Present only for tasks with an output schema. */
  structured: output(limits.structuredBytesMax).nullable(),
  /** What Codex changed in the working folder, as a unified diff against the head. */
  patch: output(limits.patchBytesMax),
  /** The same as whole files; only where the task may publish a patch, and not in records of before. */
  changes: Changes.optional(),
  usage: Usage.nullable(),
});
export type Result = z.infer<typeof Result>;
