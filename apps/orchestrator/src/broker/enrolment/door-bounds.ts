import type { TurnstileBounds } from "./turnstile.ts";

export interface DoorBounds {
  /** Everybody, for as long as they are connected. */
  readonly connections: TurnstileBounds;
  /** Those whose handshake is not done. */
  readonly handshakes: TurnstileBounds;
  /** Those who are no machine of ours, or not yet. */
  readonly guests: TurnstileBounds;
  readonly handshakeMs: number;
  /** From the handshake to the end of a guest's connection: the provider's listing is asked in between. */
  readonly guestMs: number;
}

/**
 * A machine keeps one connection for its short calls, seldom eight, and opens one for each model call. What root in it could
 * do is use up its own share: of handshakes and of guests there are 256 times what one address may have.
 */
export const doorBounds: DoorBounds = {
  // A descriptor each. A machine's channel takes 64.
  connections: { atOnceMax: 4_096, eachAtOnceMax: 72, burst: 100, perSecond: 10 },
  // A signature each: a millisecond of one processor. The rate of connections holds for them too.
  handshakes: { atOnceMax: 2_048, eachAtOnceMax: 8, burst: 100, perSecond: 10 },
  // An agent that finds the broker away asks six times in the first ten seconds and then every five, one at a time. An
  // enrolled machine comes here too while its record cannot be looked at: whichever of its calls finds no place finds
  // the connection closed, and is made again.
  guests: { atOnceMax: 512, eachAtOnceMax: 2, burst: 10, perSecond: 0.5 },
  // Two packets each way. Who is slower comes again.
  handshakeMs: 5_000,
  guestMs: 20_000,
};
