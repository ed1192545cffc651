import type { RunId, Store } from "@mayfly/core";
import type { StormBroker } from "./broker.ts";
import { capsOf, dollarsBy, fleetFor } from "./caps.ts";
import { type Host, type HostDeps, startHost } from "./service.ts";
import type { Watch } from "./watch.ts";

const SECOND = 1_000;
/** The service ends this often, in its own time, at an answer that chance chooses, and is away for so long. */
const CRASH_MS = { from: 60 * SECOND, to: 240 * SECOND };
const CRASH_ANSWERS_MAX = 500;
const AWAY_MS_MAX = 40 * SECOND;

/** The service, life after life: each ends in a crash, and the next begins with other caps. */
export interface Lives {
  begin(): Promise<void>;
  isUp(): boolean;
  crashes(): number;
  /** Null where no broker is there, or where it ends before it has answered. */
  ask<T>(question: (broker: StormBroker) => Promise<T>): Promise<T | null>;
  /** As a person does it, who may find nobody. */
  cancel(run: RunId): Promise<void>;
  close(): void;
}

export function createLives(
  deps: Omit<HostDeps, "fleet"> & { watch: Watch; store: Store; atOnce: number; firstCaps: number },
): Lives {
  const { time, chance, watch, store, atOnce, firstCaps } = deps;
  const bornAt = time.now();
  let host: Host | null = null;
  let crashes = 0;
  let isUp = false;
  let isClosed = false;

  async function begin(): Promise<void> {
    const dollars = await dollarsBy(store, bornAt, time.now());
    const fleet = fleetFor(firstCaps + crashes, atOnce, { ...watch.usage(), dollars });
    watch.setCaps(capsOf(fleet), time.now());
    host = await startHost({ ...deps, fleet });
    isUp = true;
    void host.service.start();
    doom(host);
  }

  function doom({ life }: Host): void {
    const { from, to } = CRASH_MS;
    time.after(from + chance.below(to - from), () => {
      if (!isClosed) {
        life.endAfterAnswers(1 + chance.below(CRASH_ANSWERS_MAX), crash);
      }
    });
  }

  function crash(): void {
    isUp = false;
    crashes += 1;
    host?.end();
    time.after(SECOND + chance.below(AWAY_MS_MAX), () => void time.during(begin()));
  }

  return {
    begin,
    isUp: () => isUp,
    crashes: () => crashes,
    ask: async (question) => (host === null ? null : host.life.during(question(host.broker))),
    async cancel(run) {
      if (isUp && host !== null) {
        await host.life.during(host.service.cancel(run)).catch(() => undefined);
      }
    },
    close() {
      isClosed = true;
      host?.end();
    },
  };
}
