import type { Instant } from "@mayfly/core";
import type { CapacityScope } from "./ec2-faults.ts";

/** Limit: what lacked capacity mostly still lacks it; other fleet managers ask again after as long. */
const ASIDE_MS = 3 * 60_000;
/** Two interruptions within this time are no bad luck. */
const INTERRUPTIONS_MAX = 2;
const INTERRUPTION_WINDOW_MS = 15 * 60_000;
/** How long spot is then left alone. */
const SPOT_OFF_MS = 30 * 60_000;

type Purchase = "spot" | "on-demand";

/** One instance type in one subnet. */
export interface Offering {
  readonly subnet: string;
  readonly type: string;
}

/** What may be asked for now, or when something may be. */
type OpenOfferings =
  | { readonly purchase: Purchase; readonly offerings: readonly Offering[] }
  | { readonly none: true; readonly until: Instant };

/** What this process has learned of what EC2 can give. Forgotten at a restart, when it is learned anew. */
export interface Capacity {
  /** @param steady Whether spot is out of the question. */
  open(now: Instant, steady?: boolean): OpenOfferings;
  /** EC2 could not give this: it is not asked for it for a while. Without an offering all of that purchase are meant. */
  noteLacking(lack: { purchase: Purchase; offering: Offering | null; scope: CapacityScope; now: Instant }): void;
  /** EC2 took a spot machine back, at that time or later. Each instance counts once, and one of long ago not at all. */
  noteInterruption(instanceId: string, at: Instant, now: Instant): void;
  /** True while spot is left alone because machines were taken back. */
  isSpotOff(now: Instant): boolean;
}

/**
 * @param offerings Every subnet with every type, the preferred first.
 * @param spot Whether spot is wanted at all; on-demand is what remains when it has nothing.
 */
export function createCapacity(options: { offerings: readonly Offering[]; spot: boolean }): Capacity {
  const { offerings, spot } = options;
  const asideUntil = new Map<string, Instant>();
  const interruptions = new Map<string, Instant>();
  let spotOffUntil = 0;

  const keyOf = (purchase: Purchase, { subnet, type }: Offering): string => `${purchase} ${subnet} ${type}`;
  const openOf = (purchase: Purchase, now: Instant): Offering[] =>
    offerings.filter((offering) => (asideUntil.get(keyOf(purchase, offering)) ?? 0) <= now);

  function open(now: Instant, steady = false): OpenOfferings {
    const isSpotOpen = spot && !steady && now >= spotOffUntil;
    const purchases: Purchase[] = isSpotOpen ? ["spot", "on-demand"] : ["on-demand"];
    for (const purchase of purchases) {
      const found = openOf(purchase, now);
      if (found.length > 0) {
        return { purchase, offerings: found };
      }
    }
    const keys = purchases.flatMap((purchase) => offerings.map((offering) => keyOf(purchase, offering)));
    return { none: true, until: Math.min(...keys.map((key) => asideUntil.get(key) ?? now)) };
  }

  return {
    open,
    noteLacking({ purchase, offering, scope, now }) {
      const isMeant = (other: Offering): boolean =>
        offering === null ||
        scope === "purchase" ||
        (other.subnet === offering.subnet && (scope === "subnet" || other.type === offering.type));
      for (const other of offerings.filter(isMeant)) {
        asideUntil.set(keyOf(purchase, other), now + ASIDE_MS);
      }
    },
    noteInterruption(instanceId, at, now) {
      if (interruptions.has(instanceId)) {
        return;
      }
      interruptions.set(instanceId, at);
      const recent = [...interruptions.values()].filter((one) => one > now - INTERRUPTION_WINDOW_MS);
      if (at > now - INTERRUPTION_WINDOW_MS && recent.length >= INTERRUPTIONS_MAX) {
        spotOffUntil = Math.max(spotOffUntil, Math.max(...recent) + SPOT_OFF_MS);
      }
      forgetOld(interruptions, now);
    },
    isSpotOff: (now) => now < spotOffUntil,
  };
}

/** EC2 lists an ended instance for about an hour, so that long its interruption must not count again. */
const REMEMBERED_MS = 2 * 60 * 60_000;

function forgetOld(interruptions: Map<string, Instant>, now: Instant): void {
  for (const [id, at] of interruptions) {
    if (at < now - REMEMBERED_MS) {
      interruptions.delete(id);
    }
  }
}
