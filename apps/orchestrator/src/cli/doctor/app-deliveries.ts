import { z } from "zod";
import { type Instant, limits } from "@mayfly/core";
import { fail, type Finding, ok, warn } from "./checklist.ts";

/** What of GitHub's log of webhook deliveries is looked at, the newest first. */
export const Deliveries = z
  .array(
    z.object({
      guid: z.string().max(100),
      delivered_at: z.string().max(40),
      status_code: z.number(),
    }),
  )
  .max(100);
type Delivery = z.infer<typeof Deliveries>[number];

const DAY_MS = 24 * 60 * 60_000;
/** What we answer where the secrets differ. */
const UNSIGNED = 401;

/** What became of the deliveries of the last day. One that failed and arrived at a later try has arrived. */
export function deliveriesFinding(log: readonly Delivery[], now: Instant, page: string): Finding {
  const recent = log.filter(({ delivered_at: at, status_code: status }) => {
    const age = now - Date.parse(at);
    // One without an answer yet may be on its way.
    return age <= DAY_MS && (status !== 0 || age > limits.doctorCheckMs * 2);
  });
  const tries = new Map<string, Delivery>();
  for (const one of recent) {
    const known = tries.get(one.guid);
    if (known === undefined || (!hasArrived(known) && hasArrived(one))) {
      tries.set(one.guid, one);
    }
  }
  const all = [...tries.values()];
  const failed = all.filter((one) => !hasArrived(one));
  const [newest] = all;
  if (newest === undefined) {
    return ok("no delivery in the last day");
  }
  if (failed.length === 0) {
    return ok(`${all.length} in the last day, all taken`);
  }
  const codes = [...new Set(failed.map(({ status_code: code }) => code))];
  const seen = `${failed.length} of ${all.length} in the last day failed, with ${codes.join(", ")}, the latest at ${shownTime(failed[0])}`;
  const fix = codes.includes(UNSIGNED)
    ? `set one secret in MAYFLY_WEBHOOK_SECRET and at ${page}: what was signed with another is refused`
    : `look at ${page}/advanced, and see that the webhook's address leads to listen.webhook and that mayfly serve runs`;
  return hasArrived(newest) ? warn(seen, fix) : fail(`${seen}; the newest is among them`, fix);
}

function hasArrived({ status_code: status }: Delivery): boolean {
  return status >= 200 && status < 300;
}

function shownTime(delivery: Delivery | undefined): string {
  const at = Date.parse(delivery?.delivered_at ?? "");
  return Number.isNaN(at) ? "an unknown time" : new Date(at).toISOString();
}
