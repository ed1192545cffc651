import { type Clock, isDeliveryId, limits } from "@mayfly/core";
import type { Logger } from "pino";
import type { GitHubApp } from "../github/app.ts";
import type { DeliveryStore } from "../store/deliveries.ts";

/** One page of GitHub's log, and how many pages a look takes at most. */
const PAGE = 100;
const PAGES_MAX = 10;
/** Redeliveries asked for in one look: the rest waits for the next. */
const ASKED_MAX = 50;
/** A delivery this young may still be on its way to us. */
const SETTLE_MS = 30_000;

/** Fetches what GitHub's delivery log has and we have not. */
export interface Redelivery {
  /** Looks at everything delivered since the last look (at first: within the memory of deliveries). Idempotent. */
  look(): Promise<{ asked: number }>;
}

/**
 * GitHub never sends a webhook again by itself. "Successful" deliveries count too: an answer of 202 may have come from a
 * proxy while we were away.
 */
export function createRedelivery(deps: {
  app: GitHubApp;
  deliveries: DeliveryStore;
  clock: Clock;
  log: Logger;
}): Redelivery {
  const { app, deliveries, clock, log } = deps;
  let lookedUntil = clock.now() - limits.deliveryMemoryMs;

  return {
    async look() {
      const now = clock.now();
      const missing = await app.asApp(async (client) => {
        const found = new Map<string, number>();
        let cursor: string | undefined;
        for (let page = 0; page < PAGES_MAX; page++) {
          const { data, headers } = await client.request("GET /app/hook/deliveries", {
            per_page: PAGE,
            ...(cursor === undefined ? {} : { cursor }),
          });
          for (const { guid, id, delivered_at: at } of data) {
            const when = Date.parse(at);
            if (
              when >= lookedUntil &&
              when <= now - SETTLE_MS &&
              isDeliveryId(guid) &&
              !(await deliveries.isKnown(guid))
            ) {
              found.set(guid, id);
            }
          }
          const oldest = data.at(-1);
          cursor = /[?&]cursor=([^&>]+)[^>]*>; rel="next"/.exec(headers.link ?? "")?.[1];
          if (oldest === undefined || cursor === undefined || Date.parse(oldest.delivered_at) < lookedUntil) {
            break;
          }
        }
        return found;
      });
      const asking = [...missing].slice(-ASKED_MAX);
      for (const [guid, id] of asking) {
        await app.asApp((client) =>
          client.request("POST /app/hook/deliveries/{delivery_id}/attempts", { delivery_id: id }),
        );
        log.info({ delivery: guid }, "a delivery that never arrived was asked for again");
      }
      if (asking.length === missing.size) {
        lookedUntil = now - 2 * SETTLE_MS;
      }
      return { asked: asking.length };
    },
  };
}
