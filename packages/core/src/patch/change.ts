import { z } from "zod";
import { limits } from "../limits.ts";

/** Base64 writes three bytes as four characters. */
const CONTENT_CHARS_MAX = Math.ceil(limits.patchFilesBytesMax / 3) * 4;
/** Linux's own bound; the rule about paths counts bytes. */
const PATH_CHARS_MAX = 4_096;

/** One file that Codex changed, as the agent found it: contents, not a text to be applied. Nothing in it is believed. */
export const Change = z.strictObject({
  path: z.string().max(PATH_CHARS_MAX),
  /** The blob that the file was at the head; null for a new file. */
  base: z
    .string()
    .regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/)
    .nullable(),
  /** Git's mode of the file now; null for one that is deleted. */
  mode: z
    .string()
    .regex(/^[0-7]{6}$/)
    .nullable(),
  /** The bytes now, in base64; null for one that is deleted, and for what has no bytes of its own. */
  content: z.string().max(CONTENT_CHARS_MAX).nullable(),
});
export type Change = z.infer<typeof Change>;

/** The bytes of strict base64, or null if it is none. */
export function bytesOf(base64: string): Uint8Array | null {
  try {
    const binary = atob(base64);
    return btoa(binary) === base64 ? Uint8Array.from(binary, (character) => character.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}
