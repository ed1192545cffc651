import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { asking } from "./connection.ts";

/** How long what a process held that died stays held. */
const HOLD_MS = 10_000;
/** Two renewals may fail. */
const RENEW_MS = 3_000;

const TAKE = `if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('DEL', KEYS[2])
  return 1
end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
return 0`;
const RENEW =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
/** Kept, and 1, where somebody came meanwhile. */
const GIVE_BACK = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('DEL', KEYS[2]) == 1 then return 1 end
redis.call('DEL', KEYS[1])
return 0`;

/** What is done by one process at a time, of however many there are. */
export interface Leases {
  /**
   * Does it, unless another process is at it: that one then does it once more when it has ended, since it may have looked
   * too early. A process that dies holds up the others for ten seconds; what is done must bear being done twice all the
   * same. Throws what the work throws, STORE_UNAVAILABLE.
   */
  alone(name: string, work: () => Promise<unknown>): Promise<void>;
}

export function createLeases(deps: { redis: Redis; prefix: string }): Leases {
  const { redis, prefix } = deps;
  return {
    async alone(name, work) {
      const keys = [`${prefix}lease:${name}`, `${prefix}lease:${name}:again`];
      const token = randomUUID();
      if ((await asking(() => redis.eval(TAKE, 2, ...keys, token, HOLD_MS))) !== 1) {
        return;
      }
      const renewing = setInterval(
        () => void redis.eval(RENEW, 1, keys[0] ?? "", token, HOLD_MS).catch(() => undefined),
        RENEW_MS,
      );
      let fault: { error: unknown } | null = null;
      try {
        do {
          fault = await work().then(
            () => null,
            (error: unknown) => ({ error }),
          );
        } while ((await asking(() => redis.eval(GIVE_BACK, 2, ...keys, token))) === 1);
      } finally {
        clearInterval(renewing);
      }
      if (fault !== null) {
        throw fault.error;
      }
    },
  };
}
