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

/** As many as one fleet may have: each address has its share of every bound, so whoever fills its own takes nobody's. */
const ADDRESSES = 1_024;

/**
 * A machine keeps up to eight connections for its short calls, seldom more than one, and opens one for each model call, of
 * which four are served at once: twelve, and a few that are just being closed.
 */
const CONNECTIONS_EACH = 16;
const HANDSHAKES_EACH = 8;
const GUESTS_EACH = 2;

export const doorBounds: DoorBounds = {
  // A descriptor each.
  connections: {
    atOnceMax: ADDRESSES * CONNECTIONS_EACH,
    eachAtOnceMax: CONNECTIONS_EACH,
    burst: 100,
    perSecond: 10,
  },
  // A signature each: a millisecond of one processor. The rate of connections holds for them too.
  handshakes: {
    atOnceMax: ADDRESSES * HANDSHAKES_EACH,
    eachAtOnceMax: HANDSHAKES_EACH,
    burst: 100,
    perSecond: 10,
  },
  // An agent that finds the broker away asks six times in the first ten seconds and then every five, one at a time. An
  // enrolled machine comes here too while its record cannot be looked at: whichever of its calls finds no place finds
  // the connection closed, and is made again.
  guests: { atOnceMax: ADDRESSES * GUESTS_EACH, eachAtOnceMax: GUESTS_EACH, burst: 10, perSecond: 0.5 },
  // Two packets each way. Who is slower comes again.
  handshakeMs: 5_000,
  guestMs: 20_000,
};
