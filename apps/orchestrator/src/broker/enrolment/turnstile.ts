import type { Clock, Instant } from "@mayfly/core";

/** Lets so many in at once, in all and from each address, and no faster than its rate from each. */
export interface Turnstile {
  /** A place, to be given back once; null when there is none. */
  enter(address: string): (() => void) | null;
}

export interface TurnstileBounds {
  readonly atOnceMax: number;
  readonly eachAtOnceMax: number;
  /** Entries from one address before its rate counts. */
  readonly burst: number;
  readonly perSecond: number;
}

interface Visitor {
  inside: number;
  /** Entries it could make at once at `at`. */
  credit: number;
  at: Instant;
}

/** Addresses that are remembered for their rate. A fleet has fewer machines; more are strangers, who wait. */
const ADDRESSES_MAX = 8_192;

export function createTurnstile(bounds: TurnstileBounds, clock: Clock): Turnstile {
  const { atOnceMax, eachAtOnceMax, burst, perSecond } = bounds;
  const visitors = new Map<string, Visitor>();
  let inside = 0;

  function creditOf({ credit, at }: Visitor): number {
    return Math.min(burst, credit + (Math.max(0, clock.now() - at) / 1000) * perSecond);
  }

  /** Whoever has its whole credit back is as good as new. */
  function forgetOld(): void {
    for (const [address, visitor] of visitors) {
      if (visitor.inside === 0 && creditOf(visitor) >= burst) {
        visitors.delete(address);
      }
    }
  }

  function find(address: string): Visitor | null {
    const known = visitors.get(address);
    if (known !== undefined) {
      return known;
    }
    if (visitors.size >= ADDRESSES_MAX) {
      forgetOld();
    }
    if (visitors.size >= ADDRESSES_MAX) {
      return null;
    }
    const fresh: Visitor = { inside: 0, credit: burst, at: clock.now() };
    visitors.set(address, fresh);
    return fresh;
  }

  return {
    enter(address) {
      if (inside >= atOnceMax) {
        return null;
      }
      const visitor = find(address);
      const credit = visitor === null ? 0 : creditOf(visitor);
      if (visitor === null || visitor.inside >= eachAtOnceMax || credit < 1) {
        return null;
      }
      visitor.credit = credit - 1;
      visitor.at = clock.now();
      visitor.inside += 1;
      inside += 1;
      let isInside = true;
      return () => {
        if (isInside) {
          isInside = false;
          visitor.inside -= 1;
          inside -= 1;
        }
      };
    },
  };
}
