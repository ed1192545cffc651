import type { Ending } from "../ending.ts";
import type { SecretHit } from "./find-secrets.ts";

/** Kinds of things found that are named. */
const KINDS_SHOWN = 5;

/** How a run ends whose result holds these: it says what kind of thing was found, and never the thing. */
export function withheldEnding(hits: readonly SecretHit[]): Ending {
  const kinds = [...new Set(hits.map(({ kind, form }) => `${kind}, ${form}`))];
  const rest = kinds.length - KINDS_SHOWN;
  const shown = [...kinds.slice(0, KINDS_SHOWN), ...(rest > 0 ? [`${rest} more`] : [])];
  const detail = `E_SECRET: what came back holds what looks like a credential (${shown.join("; ")})`;
  return { outcome: "failed", code: "answer_withheld", detail };
}
