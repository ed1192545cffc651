import { z } from "zod";
import { INSTRUCTIONS_CHARS_MAX } from "./command.ts";
import { type DeliveryId, isRunId } from "./ids.ts";
import { limits } from "./limits.ts";
import { NAME_CHARS_MAX } from "./webhook-parts.ts";

/** A pull request as a person names it. */
const PullAddress = z.strictObject({
  /** The web host that stood in the address, without a port; null for `OWNER/NAME#NUMBER`. */
  host: z.string().max(NAME_CHARS_MAX).nullable(),
  owner: z.string().regex(/^[\w-]{1,100}$/),
  name: z.string().regex(/^[\w.-]{1,100}$/),
  number: z.int().min(1),
});
export type PullAddress = z.infer<typeof PullAddress>;

/** What an operator asks the service for. */
export const OperatorAsk = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("start"),
    pull: PullAddress,
    task: z.string().min(1).max(NAME_CHARS_MAX),
    instructions: z.string().min(1).max(INSTRUCTIONS_CHARS_MAX).nullable(),
  }),
  z.strictObject({ kind: z.literal("retry"), of: z.string().refine(isRunId) }),
]);
export type OperatorAsk = z.infer<typeof OperatorAsk>;

/** What an operator's wish is kept as, among the deliveries. */
export const OPERATOR_EVENT = "operator";
const PREFIX = "operator-";
const ADDRESS = /^(?:https?:\/\/([^/?#\s@:]+)(?::\d+)?\/)?([\w-]+)\/([\w.-]+)(?:\/pull\/|#)(\d{1,9})(?:[/?#].*)?$/;

/** The address of a pull request's page, or `OWNER/NAME#NUMBER`. Null for anything else. */
export function parsePullAddress(text: string): PullAddress | null {
  const [, host, owner, name, number] = ADDRESS.exec(text.slice(0, 2_048)) ?? [];
  const read = PullAddress.safeParse({ host: host?.toLowerCase() ?? null, owner, name, number: Number(number) });
  return read.success ? read.data : null;
}

/** How to name a pull request in words. */
export function pullName({ owner, name, number }: PullAddress): string {
  return `${owner}/${name}#${number}`;
}

/** A key as an operator gives it: visible ASCII, and not too much of it. */
export function isOperatorKey(key: string): boolean {
  return key.length <= limits.operatorKeyCharsMax && /^[\x21-\x7e]+$/.test(key);
}

/** @param digest Of the key, as hex: the same key is the same wish. */
export function operatorDeliveryId(digest: string): DeliveryId {
  return `${PREFIX}${digest.slice(0, 48)}` as DeliveryId;
}

/** True for what only the control socket may keep. What comes over the webhook must not be called so. */
export function isOperatorDelivery(id: string): boolean {
  return id.toLowerCase().startsWith(PREFIX);
}
