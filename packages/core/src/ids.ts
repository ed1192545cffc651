/**
 * Identifiers. Each is a branded string with a prefix, so that one kind can never be passed for another and a person
 * can tell them apart in a log. They are minted by the shell (`Ids` in ports.ts): core has no randomness.
 */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** One task on one commit, as the user sees it. */
export type RunId = Branded<"RunId">;
/** A virtual machine as we know it. */
export type MachineId = Branded<"MachineId">;
/** So many machines asked of a provider in one call. */
export type LaunchId = Branded<"LaunchId">;
/** One webhook POST from GitHub: the value of X-GitHub-Delivery. */
export type DeliveryId = Branded<"DeliveryId">;
/** `sha256:` and 64 hex digits. */
export type Digest = Branded<"Digest">;

const RUN_ID = /^run_[0-9a-hjkmnp-tv-z]{20}$/;
const MACHINE_ID = /^mch_[0-9a-hjkmnp-tv-z]{20}$/;
const LAUNCH_ID = /^lch_[0-9a-hjkmnp-tv-z]{20}$/;
const DELIVERY_ID = /^[0-9A-Za-z-]{1,64}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Milliseconds since the Unix epoch, always from a `Clock`. */
export type Instant = number;

export function isRunId(value: string): value is RunId {
  return RUN_ID.test(value);
}

export function isMachineId(value: string): value is MachineId {
  return MACHINE_ID.test(value);
}

export function isLaunchId(value: string): value is LaunchId {
  return LAUNCH_ID.test(value);
}

export function isDeliveryId(value: string): value is DeliveryId {
  return DELIVERY_ID.test(value);
}

export function isDigest(value: string): value is Digest {
  return DIGEST.test(value);
}

/** Crockford's base 32 in lower case: no i, l, o or u, so an id read aloud is not misheard. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const TIME_DIGITS = 10;
const RANDOM_DIGITS = 10;

/**
 * The text of an id: time first, so that ids sort by age, then randomness.
 *
 * @param prefix `run`, `mch` or `lch`.
 * @param now When it is minted.
 * @param random At least 10 random bytes; 5 bits of each are used.
 */
export function formatId(prefix: "run" | "mch" | "lch", now: Instant, random: Uint8Array): string {
  let time = "";
  for (let rest = Math.floor(now), i = 0; i < TIME_DIGITS; i++, rest = Math.floor(rest / 32)) {
    time = ALPHABET.charAt(rest % 32) + time;
  }
  let tail = "";
  for (let i = 0; i < RANDOM_DIGITS; i++) {
    tail += ALPHABET.charAt((random[i] ?? 0) & 31);
  }
  return `${prefix}_${time}${tail}`;
}
